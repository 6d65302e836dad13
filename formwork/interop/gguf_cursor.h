// A place in the bytes of a GGUF file that moves on as values are read, never beyond the end.
#pragma once
#include <cstring>
#include <string>
#include <string_view>

#include "formwork/core/error.h"
#include "formwork/interop/gguf_header.h"

namespace formwork {

class GgufCursor {
 public:
  GgufCursor(std::string_view bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  const std::string& path() const { return path_; }
  std::uint64_t position() const { return position_; }
  std::uint64_t left() const { return bytes_.size() - position_; }

  // The next bytes; an Error where the file ends before.
  std::string_view take(std::uint64_t count, std::string_view what) {
    if (count > left())
      fail("{}: {} needs {} bytes, but {} are left (truncated file?)", path_, what, count, left());
    const auto taken = bytes_.substr(position_, count);
    position_ += count;
    return taken;
  }
  template <class T>
  T number(std::string_view what) {
    T value;
    std::memcpy(&value, take(sizeof value, what).data(), sizeof value);
    return value;
  }
  std::string_view string(std::string_view what) { return take(number<std::uint64_t>(what), what); }

  // An Error unless `count` things of at least `each` bytes can still come.
  void require_room(std::uint64_t count, std::uint64_t each, std::string_view what) const {
    if (count > left() / each)
      fail("{}: {} {} do not fit the {} bytes that are left (truncated file?)", path_, count, what, left());
  }

  GgufKind kind(std::string_view what);
  GgufValue value(GgufKind kind, std::string_view what, int depth = 0);

 private:
  GgufValue array(std::string_view what, int depth);

  std::string_view bytes_;
  const std::string& path_;
  std::uint64_t position_ = 0;
};

}  // namespace formwork
