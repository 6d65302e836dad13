// The bytes of a safetensors file, from header text and data.
#pragma once
#include <cstdint>
#include <string>

namespace formwork {

inline std::string length_word(uint64_t length) {
  return std::string(reinterpret_cast<const char*>(&length), sizeof(length));
}

inline std::string safetensors_bytes(const std::string& header, size_t data_bytes) {
  return length_word(header.size()) + header + std::string(data_bytes, '\0');
}

}  // namespace formwork
