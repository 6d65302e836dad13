#include "formwork/interop/gguf_header.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "formwork/core/error.h"
#include "formwork/interop/gguf_cursor.h"
#include "formwork/interop/safetensors_header.h"

namespace formwork {
namespace {

constexpr std::uint32_t kMaxDimensions = 4;
// Of an entry, and of a tensor's description, at least: what a count may claim.
constexpr std::uint64_t kLeastEntry = 8 + 4 + 1, kLeastTensor = 8 + 4 + 4 + 8;
constexpr std::uint64_t kMaxName = 65535;

std::string read_name(GgufCursor& in, const char* what) {
  const auto name = in.string(what);
  if (name.size() > kMaxName)
    fail("{}: {} of {} bytes, at most {} are allowed", in.path(), what, name.size(), kMaxName);
  return std::string(name);
}

void read_metadata(GgufCursor& in, std::uint64_t count, GgufHeader& header) {
  for (std::uint64_t i = 0; i < count; ++i) {
    auto key = read_name(in, "a metadata key");
    const auto where = fmt::format("metadata '{}'", escaped(key));
    const auto kind = in.kind(where);
    auto value = in.value(kind, where);
    if (!header.metadata.emplace(std::move(key), std::move(value)).second)
      fail("{}: {} stands there twice", in.path(), where);
  }
}

// Bytes of a tensor of this type and shape.
std::uint64_t bytes_of(const GgufTensor& tensor, const std::string& where) {
  std::int64_t count = 1;
  bool empty = false;
  for (const auto size : tensor.shape) {
    empty |= size == 0;
    if (__builtin_mul_overflow(count, std::max<std::int64_t>(size, 1), &count))
      fail("{}: shape [{}] has more values than 63 bits can count", where, fmt::join(tensor.shape, ", "));
  }
  const std::int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  if (row % tensor.type->values != 0)
    fail("{}: rows of {} values are no whole blocks of {} ({})", where, row, tensor.type->values,
         tensor.type->name);
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(count / tensor.type->values, tensor.type->bytes, &bytes))
    fail("{}: shape [{}] has more bytes than 63 bits can count", where, fmt::join(tensor.shape, ", "));
  return empty ? 0 : static_cast<std::uint64_t>(bytes);
}

const GgufTensorType& type_of(std::uint32_t id, const std::string& where) {
  for (const auto& type : gguf_tensor_types())
    if (type.id == id) return type;
  fail("{}: tensor type {} is not known", where, id);
}

GgufTensor read_tensor(GgufCursor& in, const std::string& where, std::uint64_t alignment) {
  GgufTensor tensor;
  const auto dimensions = in.number<std::uint32_t>(where);
  if (dimensions > kMaxDimensions)
    fail("{}: {} dimensions, at most {} are possible", where, dimensions, kMaxDimensions);
  for (std::uint32_t d = 0; d < dimensions; ++d) {
    const auto size = in.number<std::uint64_t>(where);
    if (size > INT64_MAX) fail("{}: a size of {} is beyond 63 bits", where, size);
    tensor.shape.insert(tensor.shape.begin(), static_cast<std::int64_t>(size));
  }
  tensor.type = &type_of(in.number<std::uint32_t>(where), where);
  tensor.offset = in.number<std::uint64_t>(where);
  if (tensor.offset % alignment != 0)
    fail("{}: offset {} is no multiple of the alignment {}", where, tensor.offset, alignment);
  tensor.bytes = bytes_of(tensor, where);
  return tensor;
}

void read_tensors(GgufCursor& in, std::uint64_t count, GgufHeader& header) {
  for (std::uint64_t i = 0; i < count; ++i) {
    auto name = read_name(in, "a tensor name");
    const auto where = fmt::format("{}: tensor '{}'", in.path(), escaped(name));
    auto tensor = read_tensor(in, where, header.alignment);
    if (!header.tensors.emplace(std::move(name), std::move(tensor)).second)
      fail("{} stands there twice", where);
  }
}

void read_alignment(GgufHeader& header, const std::string& path) {
  const auto found = header.metadata.find("general.alignment");
  if (found == header.metadata.end()) return;
  const auto* value = std::get_if<std::uint64_t>(&found->second);
  if (!value || !std::has_single_bit(*value) || *value > (1u << 20))
    fail("{}: general.alignment: expected a power of two up to {}", path, 1 << 20);
  header.alignment = *value;
}

void check_data(const GgufHeader& header, std::uint64_t data_bytes, const std::string& path) {
  using Item = std::pair<const std::string, GgufTensor>;
  std::vector<const Item*> order;
  for (const auto& item : header.tensors) order.push_back(&item);
  std::sort(order.begin(), order.end(), [](const Item* a, const Item* b) {
    return std::tie(a->second.offset, a->second.bytes) < std::tie(b->second.offset, b->second.bytes);
  });
  std::uint64_t end = 0;
  const Item* before = nullptr;
  for (const Item* item : order) {
    const auto& tensor = item->second;
    if (tensor.offset > data_bytes || tensor.bytes > data_bytes - tensor.offset)
      fail("{}: tensor '{}': {} bytes at {} end beyond the {} bytes of data (truncated file?)", path,
           escaped(item->first), tensor.bytes, tensor.offset, data_bytes);
    if (before && tensor.offset < end)
      fail("{}: tensors '{}' and '{}' overlap at data byte {}", path, escaped(before->first),
           escaped(item->first), tensor.offset);
    end = tensor.offset + tensor.bytes;
    before = item;
  }
}

void check_magic(std::string_view file, const std::string& path) {
  if (file.empty()) fail("{}: empty file, expected GGUF", path);
  if (file.starts_with("version https://git-lfs"))
    fail("{}: a Git LFS pointer, not the weights; fetch them with git lfs pull", path);
  if (!file.starts_with("GGUF")) fail("{}: does not begin with \"GGUF\"; not a GGUF file", path);
}

}  // namespace

const std::vector<GgufTensorType>& gguf_tensor_types() {
  static const std::vector<GgufTensorType> all = {
      {0, "f32", 1, 4},       {1, "f16", 1, 2},       {2, "q4_0", 32, 18},      {3, "q4_1", 32, 20},
      {6, "q5_0", 32, 22},    {7, "q5_1", 32, 24},    {8, "q8_0", 32, 34},      {10, "q2_k", 256, 84},
      {11, "q3_k", 256, 110}, {12, "q4_k", 256, 144}, {13, "q5_k", 256, 176},   {14, "q6_k", 256, 210},
      {15, "q8_k", 256, 292}, {20, "iq4_nl", 32, 18}, {23, "iq4_xs", 256, 136}, {24, "i8", 1, 1},
      {25, "i16", 1, 2},      {26, "i32", 1, 4},      {27, "i64", 1, 8},        {28, "f64", 1, 8},
      {30, "bf16", 1, 2}};
  return all;
}

const GgufTensorType* find_gguf_tensor_type(std::string_view name) {
  for (const auto& type : gguf_tensor_types())
    if (name == type.name) return &type;
  return nullptr;
}

GgufHeader parse_gguf_header(std::string_view file, const std::string& path) {
  static_assert(std::endian::native == std::endian::little, "GGUF data is little-endian");
  check_magic(file, path);
  GgufCursor in(file, path);
  in.take(4, "the magic number");
  GgufHeader header;
  header.version = in.number<std::uint32_t>("the version");
  if (header.version != 2 && header.version != 3)
    fail("{}: GGUF version {} is not known; this program reads 2 and 3{}", path, header.version,
         header.version > 0xffff ? " of little-endian files" : "");
  const auto tensors = in.number<std::uint64_t>("the number of tensors");
  const auto entries = in.number<std::uint64_t>("the number of metadata entries");
  in.require_room(entries, kLeastEntry, "metadata entries");
  in.require_room(tensors, kLeastTensor, "tensors");
  read_metadata(in, entries, header);
  read_alignment(header, path);
  in.require_room(tensors, kLeastTensor, "tensors");
  read_tensors(in, tensors, header);
  const std::uint64_t data = (in.position() + header.alignment - 1) / header.alignment * header.alignment;
  header.data_start = std::min<std::uint64_t>(data, file.size());
  check_data(header, file.size() - header.data_start, path);
  return header;
}

}  // namespace formwork
