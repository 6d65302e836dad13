// A fast hash of short byte strings and of integers, for tables inside one process (not for untrusted keys
// that must not collide).
#pragma once
#include <cstdint>
#include <cstring>
#include <string_view>

namespace formwork {

inline uint64_t mix(uint64_t value) {
  value *= 0x9E3779B97F4A7C15ull;
  return value ^ value >> 29;
}

inline uint64_t hash_bytes(std::string_view bytes) {
  uint64_t hash = bytes.size() * 0xD6E8FEB86659FD93ull;
  const char* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= 8; at += 8, left -= 8) {
    uint64_t word;
    std::memcpy(&word, at, 8);
    hash = mix(hash ^ word);
  }
  uint64_t word = 0;
  std::memcpy(&word, at, left);
  hash = mix(hash ^ word);
  return mix(hash);
}

// The least power of two that is at least `count`.
inline size_t table_size(size_t count) {
  size_t size = 16;
  while (size < count) size *= 2;
  return size;
}

}  // namespace formwork
