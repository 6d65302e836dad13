#include "formwork/interop/gguf_cursor.h"

namespace formwork {
namespace {

constexpr int kMaxDepth = 8;  // of arrays in arrays

// Bytes of a value of a kind whose values all take as many; 0: they differ.
std::uint64_t fixed_bytes(GgufKind kind) {
  static constexpr std::uint64_t bytes[] = {1, 1, 2, 2, 4, 4, 4, 0, 0, 0, 8, 8, 8};
  return bytes[static_cast<int>(kind)];
}

std::uint64_t least_bytes(GgufKind kind) {
  if (kind == GgufKind::boolean) return 1;
  return kind == GgufKind::string ? 8 : kind == GgufKind::array ? 12 : fixed_bytes(kind);
}

}  // namespace

const char* gguf_kind_name(GgufKind kind) {
  static constexpr const char* names[] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                          "bool", "string", "array", "u64", "i64", "f64"};
  return names[static_cast<int>(kind)];
}

GgufKind GgufCursor::kind(std::string_view what) {
  const auto id = number<std::uint32_t>(what);
  if (id > static_cast<std::uint32_t>(GgufKind::f64))
    fail("{}: {}: value type {} is not known", path_, what, id);
  return static_cast<GgufKind>(id);
}

GgufValue GgufCursor::value(GgufKind kind, std::string_view what, int depth) {
  switch (kind) {
    case GgufKind::u8:
      return std::uint64_t{number<std::uint8_t>(what)};
    case GgufKind::i8:
      return std::int64_t{number<std::int8_t>(what)};
    case GgufKind::u16:
      return std::uint64_t{number<std::uint16_t>(what)};
    case GgufKind::i16:
      return std::int64_t{number<std::int16_t>(what)};
    case GgufKind::u32:
      return std::uint64_t{number<std::uint32_t>(what)};
    case GgufKind::i32:
      return std::int64_t{number<std::int32_t>(what)};
    case GgufKind::f32:
      return double{number<float>(what)};
    case GgufKind::u64:
      return number<std::uint64_t>(what);
    case GgufKind::i64:
      return number<std::int64_t>(what);
    case GgufKind::f64:
      return number<double>(what);
    case GgufKind::string:
      return string(what);
    case GgufKind::array:
      return array(what, depth);
    case GgufKind::boolean:
      break;
  }
  const auto flag = number<std::uint8_t>(what);
  if (flag > 1) fail("{}: {}: expected a bool of 0 or 1, found {}", path_, what, flag);
  return flag == 1;
}

GgufValue GgufCursor::array(std::string_view what, int depth) {
  if (depth >= kMaxDepth) fail("{}: {}: arrays in arrays more than {} deep", path_, what, kMaxDepth);
  const auto of = kind(what);
  const auto count = number<std::uint64_t>(what);
  require_room(count, least_bytes(of), fmt::format("values of {}", what));
  const auto start = position_;
  if (const auto each = fixed_bytes(of); each > 0)
    take(count * each, what);
  else
    for (std::uint64_t i = 0; i < count; ++i) value(of, what, depth + 1);
  return GgufArray(of, count, bytes_.substr(start, position_ - start));
}

std::vector<GgufValue> GgufArray::values() const {
  static const std::string checked = "a checked array";
  GgufCursor in(bytes_, checked);
  std::vector<GgufValue> all;
  all.reserve(count_);
  for (std::uint64_t i = 0; i < count_; ++i) all.push_back(in.value(kind_, "a value"));
  return all;
}

std::vector<std::string_view> GgufArray::strings() const {
  static const std::string checked = "a checked array";
  if (kind_ != GgufKind::string) fail("expected an array of strings, found one of {}", gguf_kind_name(kind_));
  GgufCursor in(bytes_, checked);
  std::vector<std::string_view> all;
  all.reserve(count_);
  for (std::uint64_t i = 0; i < count_; ++i) all.push_back(in.string("a value"));
  return all;
}

}  // namespace formwork
