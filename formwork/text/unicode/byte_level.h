// The byte alphabet of byte-level BPE: each byte is written as one printable character, so that any bytes
// can stand in a JSON vocabulary (Language Models are Unsupervised Multitask Learners, 2019).
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace formwork {

// Bytes in the order of the characters that stand for them: the printable ones first.
const std::array<uint8_t, 256>& byte_alphabet();

// Raw bytes -> their printable form in UTF-8.
std::string to_byte_level(std::string_view bytes);

// The reverse; nothing when `printable` has a character that stands for no byte.
std::optional<std::string> from_byte_level(std::string_view printable);

}  // namespace formwork
