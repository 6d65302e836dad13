#include "formwork/interop/gguf_writer.h"

#include <utility>

#include "formwork/core/error.h"
#include "formwork/core/file.h"

namespace formwork {
namespace {

constexpr std::uint64_t kAlignment = 32;

std::uint64_t aligned(std::uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

template <class T>
void put(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void put_string(std::string& to, std::string_view text) {
  put(to, static_cast<std::uint64_t>(text.size()));
  to.append(text);
}

void put_kind(std::string& to, GgufKind kind) { put(to, static_cast<std::uint32_t>(kind)); }

// A value with its kind before it.
struct Put {
  std::string& to;

  template <class Narrow, class Wide>
  void integer(Wide value, GgufKind narrow, GgufKind wide) const {
    const bool fits = std::in_range<Narrow>(value);
    put_kind(to, fits ? narrow : wide);
    if (fits)
      put(to, static_cast<Narrow>(value));
    else
      put(to, value);
  }
  void operator()(std::uint64_t value) const { integer<std::uint32_t>(value, GgufKind::u32, GgufKind::u64); }
  void operator()(std::int64_t value) const { integer<std::int32_t>(value, GgufKind::i32, GgufKind::i64); }
  void operator()(double value) const { put_kind(to, GgufKind::f32), put(to, static_cast<float>(value)); }
  void operator()(bool value) const { put_kind(to, GgufKind::boolean), put(to, std::uint8_t{value}); }
  void operator()(std::string_view value) const { put_kind(to, GgufKind::string), put_string(to, value); }
  void operator()(const GgufArray& array) const {
    put_kind(to, GgufKind::array);
    put_kind(to, array.kind());
    put(to, array.size());
    to.append(array.bytes());
  }
};

}  // namespace

void GgufWriter::add(const std::string& key, const GgufValue& value) {
  put_string(metadata_, key);
  std::visit(Put{metadata_}, value);
  ++entries_;
}

void GgufWriter::add_text(const std::string& key, std::string text) { add(key, std::string_view(text)); }

void GgufWriter::add_strings(const std::string& key, const std::vector<std::string>& values) {
  std::string bytes;
  for (const auto& value : values) put_string(bytes, value);
  add(key, GgufArray(GgufKind::string, values.size(), bytes));
}

void GgufWriter::add_integers(const std::string& key, const std::vector<std::int32_t>& values) {
  const std::string_view bytes(reinterpret_cast<const char*>(values.data()), values.size() * 4);
  add(key, GgufArray(GgufKind::i32, values.size(), bytes));
}

void GgufWriter::add_tensor(const std::string& name, const GgufTensorType& type,
                            std::vector<std::int64_t> shape, GgufSource source) {
  std::int64_t count = 1;
  for (const auto size : shape) count *= size;
  if (shape.empty() || shape.back() % type.values != 0)
    fail("tensor '{}' [{}]: rows are no whole blocks of {} ({})", name, fmt::join(shape, ", "), type.values,
         type.name);
  GgufTensor info{&type, std::move(shape), data_bytes_,
                  static_cast<std::uint64_t>(count / type.values * type.bytes)};
  data_bytes_ += aligned(info.bytes);
  tensors_.push_back({name, std::move(info), std::move(source)});
}

void GgufWriter::write(const std::filesystem::path& path) const {
  std::string header = "GGUF";
  put(header, std::uint32_t{3});
  put(header, static_cast<std::uint64_t>(tensors_.size()));
  put(header, entries_);
  header += metadata_;
  for (const auto& tensor : tensors_) {
    put_string(header, tensor.name);
    put(header, static_cast<std::uint32_t>(tensor.info.shape.size()));
    for (auto size = tensor.info.shape.rbegin(); size != tensor.info.shape.rend(); ++size)
      put(header, static_cast<std::uint64_t>(*size));
    put(header, tensor.info.type->id);
    put(header, tensor.info.offset);
  }
  header.resize(aligned(header.size()));
  write_atomically(path, [&](OutputFile& file) {
    file.write(header);
    for (const auto& tensor : tensors_) {
      std::uint64_t given = 0;
      tensor.source([&](std::string_view bytes) { file.write(bytes), given += bytes.size(); });
      if (given != tensor.info.bytes)
        fail("{}: tensor '{}' has {} bytes, expected {}", path.string(), tensor.name, given,
             tensor.info.bytes);
      file.write(std::string(aligned(given) - given, '\0'));
    }
  });
}

}  // namespace formwork
