// The few facts about Unicode that splitting text into words needs.
#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace formwork {

enum class CharacterClass { letter, number, space, other };

inline constexpr uint32_t invalid_code_point = 0xFFFFFFFF;

struct CodePoint {
  uint32_t code;
  int bytes;
};

// General category L*, N*, property White_Space, or none of them (also for invalid_code_point).
CharacterClass character_class(uint32_t code);
bool is_space(uint32_t code);

// The UTF-8 character that starts at text[at]; a byte that starts no valid one is {invalid_code_point, 1}.
CodePoint next_code_point(std::string_view text, size_t at);

}  // namespace formwork
