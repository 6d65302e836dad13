// The merging of one word.
#pragma once
#include <cstdint>
#include <vector>

#include "formwork/text/models/merge_table.h"

namespace formwork {

// Merges the symbols ids[first..] in place: always the pair of lowest rank, of equal ones the leftmost.
void merge_symbols(const MergeTable& merges, std::vector<int32_t>& ids, size_t first);

}  // namespace formwork
