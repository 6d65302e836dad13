// The bytes of a GGUF file, piece by piece, right or wrong.
#pragma once
#include <cstdint>
#include <string>

namespace formwork {

struct GgufBytes {
  std::string bytes;

  template <class T>
  GgufBytes& put(T value) {
    bytes.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  GgufBytes& u32(uint32_t value) { return put(value); }
  GgufBytes& u64(uint64_t value) { return put(value); }
  GgufBytes& text(const std::string& value) {
    u64(value.size());
    bytes += value;
    return *this;
  }
  GgufBytes& fill(size_t count) {
    bytes.append(count, '\0');
    return *this;
  }
  GgufBytes& align(size_t to = 32) { return fill((to - bytes.size() % to) % to); }

  static GgufBytes begin(uint64_t tensors, uint64_t entries, uint32_t version = 3) {
    GgufBytes file;
    file.bytes = "GGUF";
    return file.u32(version).u64(tensors).u64(entries);
  }
  GgufBytes& tensor(const std::string& name, const std::vector<uint64_t>& sizes, uint32_t type,
                    uint64_t offset) {
    text(name).u32(static_cast<uint32_t>(sizes.size()));
    for (const auto size : sizes) u64(size);
    return u32(type).u64(offset);
  }
};

}  // namespace formwork
