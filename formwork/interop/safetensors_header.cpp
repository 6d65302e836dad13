#include "formwork/interop/safetensors_header.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "formwork/core/error.h"
#include "formwork/interop/safetensors_sax.h"

namespace formwork {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;
constexpr size_t kMaxRank = 64;  // of an ATen tensor

size_t dtype_rank(const std::string& name) {
  const auto& all = safetensors_dtypes();
  const auto found = std::find_if(all.begin(), all.end(), [&](const auto& d) { return name == d.name; });
  return static_cast<size_t>(found - all.begin());
}

[[noreturn]] void fail_dtype(const std::string& where, const std::string& dtype) {
  std::vector<std::string> names;
  for (const auto& known : safetensors_dtypes()) names.emplace_back(known.name);
  try {
    fail_unknown("dtype", escaped(dtype), names);
  } catch (const Error& error) {
    fail("{}: {}", where, error.what());
  }
}

// Bytes that dtype and shape ask for. Zeros count as one in the overflow check: strides must fit as well.
uint64_t expected_bytes(const SafetensorsEntry& entry, const std::string& where) {
  const size_t rank = dtype_rank(entry.dtype);
  if (rank == safetensors_dtypes().size()) fail_dtype(where, entry.dtype);
  if (entry.shape.size() > kMaxRank) {
    fail("{}: {} dimensions, at most {} are possible", where, entry.shape.size(), kMaxRank);
  }
  int64_t bytes = dtype_bytes(safetensors_dtypes()[rank].dtype);
  bool empty = false;
  for (const int64_t size : entry.shape) {
    empty |= size == 0;
    if (__builtin_mul_overflow(bytes, std::max<int64_t>(size, 1), &bytes)) {
      fail("{}: shape [{}] has more bytes than 63 bits can count", where, fmt::join(entry.shape, ", "));
    }
  }
  return empty ? 0 : static_cast<uint64_t>(bytes);
}

void check_entry(const SafetensorsEntry& entry, uint64_t data_bytes, const std::string& where) {
  const uint64_t expected = expected_bytes(entry, where);
  if (entry.begin > entry.end) fail("{}: data_offsets [{}, {}] run backwards", where, entry.begin, entry.end);
  if (entry.end - entry.begin != expected) {
    fail("{}: {} of shape [{}] needs {} bytes, data_offsets [{}, {}] give {}", where, entry.dtype,
         fmt::join(entry.shape, ", "), expected, entry.begin, entry.end, entry.end - entry.begin);
  }
  if (entry.end > data_bytes) {
    fail("{}: data_offsets [{}, {}] end beyond the {} bytes of data (truncated file?)", where, entry.begin,
         entry.end, data_bytes);
  }
}

void check_tiling(const SafetensorsHeader& header, uint64_t data_bytes, const std::string& path) {
  using Item = std::map<std::string, SafetensorsEntry>::value_type;
  std::vector<const Item*> order;
  for (const auto& item : header.entries) order.push_back(&item);
  std::sort(order.begin(), order.end(), [](const Item* a, const Item* b) {
    return std::tie(a->second.begin, a->second.end) < std::tie(b->second.begin, b->second.end);
  });
  uint64_t next = 0;
  std::string before = "the header";
  for (const Item* item : order) {
    const std::string name = "'" + escaped(item->first) + "'";
    if (item->second.begin < next) {
      fail("{}: tensors {} and {} overlap at data byte {}", path, before, name, item->second.begin);
    }
    if (item->second.begin > next) {
      fail("{}: data bytes {} to {} between {} and {} belong to no tensor", path, next, item->second.begin,
           before, name);
    }
    next = item->second.end;
    before = name;
  }
  if (next != data_bytes) {
    fail("{}: data bytes {} to {} after {} belong to no tensor", path, next, data_bytes, before);
  }
}

// The JSON text between the length word and the data.
std::string_view header_text(std::string_view file, const std::string& path) {
  if (file.empty()) fail("{}: empty file, expected safetensors", path);
  if (file.starts_with("version https://git-lfs")) {
    fail("{}: a Git LFS pointer, not the weights; fetch them with git lfs pull", path);
  }
  if (file.size() < kLengthBytes) {
    fail("{}: {} bytes, a safetensors file has at least {}", path, file.size(), kLengthBytes);
  }
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > kMaxHeaderBytes) {
    fail("{}: header of {} bytes, at most {} are allowed; not a safetensors file?", path, length,
         kMaxHeaderBytes);
  }
  if (length > file.size() - kLengthBytes) {
    fail("{}: header of {} bytes, but only {} follow its length (truncated file?)", path, length,
         file.size() - kLengthBytes);
  }
  return file.substr(kLengthBytes, length);
}

std::string quoted(const std::string& text, const std::string& path) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    fail("{}: name or metadata '{}' is not valid UTF-8", path, escaped(text));
  }
}

std::string metadata_json(const std::map<std::string, std::string>& metadata, const std::string& path) {
  std::vector<std::string> pairs;
  for (const auto& [key, value] : metadata) pairs.push_back(quoted(key, path) + ":" + quoted(value, path));
  return fmt::format("\"__metadata__\":{{{}}}", fmt::join(pairs, ","));
}

}  // namespace

const std::vector<SafetensorsDtype>& safetensors_dtypes() {
  static const std::vector<SafetensorsDtype> all{{"BOOL", Dtype::boolean},
                                                 {"U8", Dtype::uint8},
                                                 {"I8", Dtype::int8},
                                                 {"F8_E5M2", Dtype::float8_e5m2},
                                                 {"F8_E4M3", Dtype::float8_e4m3fn},
                                                 {"F8_E8M0", Dtype::float8_e8m0fnu},
                                                 {"F8_E4M3FNUZ", Dtype::float8_e4m3fnuz},
                                                 {"F8_E5M2FNUZ", Dtype::float8_e5m2fnuz},
                                                 {"I16", Dtype::int16},
                                                 {"U16", Dtype::uint16},
                                                 {"F16", Dtype::float16},
                                                 {"BF16", Dtype::bfloat16},
                                                 {"I32", Dtype::int32},
                                                 {"U32", Dtype::uint32},
                                                 {"F32", Dtype::float32},
                                                 {"C64", Dtype::complex64},
                                                 {"F64", Dtype::float64},
                                                 {"I64", Dtype::int64},
                                                 {"U64", Dtype::uint64}};
  return all;
}

SafetensorsHeader parse_safetensors_header(std::string_view file, const std::string& path) {
  const std::string_view text = header_text(file, path);
  if (!text.starts_with('{')) fail("{}: header is not a JSON object; not a safetensors file?", path);
  SafetensorsHeader header = read_safetensors_json(text, path);
  header.data_start = kLengthBytes + text.size();
  const uint64_t data_bytes = file.size() - header.data_start;
  for (const auto& [name, entry] : header.entries) {
    check_entry(entry, data_bytes, fmt::format("{}: tensor '{}'", path, escaped(name)));
  }
  check_tiling(header, data_bytes, path);
  return header;
}

std::string format_safetensors_header(std::vector<SafetensorsSlot>& slots,
                                      const std::map<std::string, std::string>& metadata,
                                      const std::string& path) {
  std::sort(slots.begin(), slots.end(), [](const auto& a, const auto& b) {
    const size_t rank_a = dtype_rank(a.entry.dtype), rank_b = dtype_rank(b.entry.dtype);
    return rank_a != rank_b ? rank_a > rank_b : a.name < b.name;
  });
  std::vector<std::string> members;
  if (!metadata.empty()) members.push_back(metadata_json(metadata, path));
  uint64_t next = 0;
  for (auto& [name, entry] : slots) {
    if (name == "__metadata__") fail("{}: '__metadata__' is reserved and cannot name a tensor", path);
    entry.begin = next;
    entry.end = next += expected_bytes(entry, fmt::format("{}: tensor '{}'", path, escaped(name)));
    members.push_back(fmt::format("{}:{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{},{}]}}",
                                  quoted(name, path), entry.dtype, fmt::join(entry.shape, ","), entry.begin,
                                  entry.end));
  }
  std::string text = fmt::format("{{{}}}", fmt::join(members, ","));
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > kMaxHeaderBytes) {
    fail("{}: header of {} bytes, at most {} are allowed", path, text.size(), kMaxHeaderBytes);
  }
  const uint64_t length = text.size();
  std::string bytes(kLengthBytes, '\0');
  std::memcpy(bytes.data(), &length, kLengthBytes);
  return bytes + text;
}

}  // namespace formwork
