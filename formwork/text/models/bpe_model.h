// What a byte-level BPE tokenizer is made of.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace formwork {

struct BpeModel {
  std::vector<std::string> tokens;  // raw bytes of each id
  std::vector<std::pair<int32_t, int32_t>>
      merges;                    // earlier merges go first; both parts and the joined token are in `tokens`
  std::vector<int32_t> special;  // ids that stand for their text as a whole and never merge
};

}  // namespace formwork
