// The header of a GGUF file, versions 2 and 3: metadata by key and tensors by name. Pure bytes to entries;
// no LibTorch. Values are views of the file's bytes, which must outlive them, so that reading allocates no
// more than the number of entries asks for, and that is checked against the file's size.
//
//   "GGUF", u32 version, u64 tensors, u64 entries
//   entries x [string key, u32 type, value]
//   tensors x [string name, u32 dimensions, u64 sizes (fastest first), u32 type, u64 offset]
//   filled up to the alignment (general.alignment, 32 where it is not said), then the data
//
// A string is [u64 bytes, bytes]; an array [u32 type, u64 count, values], of arrays too.
// Source: the format description of ggml (gguf.md, 2023).
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace formwork {

enum class GgufKind : std::uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64
};
const char* gguf_kind_name(GgufKind kind);

class GgufArray;
using GgufValue = std::variant<std::uint64_t, std::int64_t, double, bool, std::string_view, GgufArray>;

// An array of the file, checked when the header was read.
class GgufArray {
 public:
  GgufArray(GgufKind kind, std::uint64_t count, std::string_view bytes)
      : kind_(kind), count_(count), bytes_(bytes) {}
  GgufKind kind() const { return kind_; }
  std::uint64_t size() const { return count_; }
  std::string_view bytes() const { return bytes_; }  // of the values, as the file holds them
  std::vector<GgufValue> values() const;
  std::vector<std::string_view> strings() const;  // of an array of them

 private:
  GgufKind kind_;
  std::uint64_t count_;
  std::string_view bytes_;
};

// Element types of tensors.
struct GgufTensorType {
  std::uint32_t id;
  const char* name;            // "q4_1"
  std::int64_t values, bytes;  // of a block
};
const std::vector<GgufTensorType>& gguf_tensor_types();
// Null where no type has this name.
const GgufTensorType* find_gguf_tensor_type(std::string_view name);

struct GgufTensor {
  const GgufTensorType* type = nullptr;
  std::vector<std::int64_t> shape;      // slowest first: a matrix is [out, in]
  std::uint64_t offset = 0, bytes = 0;  // from the start of the data
};

struct GgufHeader {
  std::uint32_t version = 0;
  std::uint64_t alignment = 32;
  std::uint64_t data_start = 0;  // bytes from the start of the file
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::map<std::string, GgufTensor, std::less<>> tensors;
};

// Reads and fully checks the header of a whole file's bytes: names are unique, types known, rows whole
// blocks, data aligned, inside the file and without overlap. Any violation is one Error naming `path`.
GgufHeader parse_gguf_header(std::string_view file, const std::string& path);

}  // namespace formwork
