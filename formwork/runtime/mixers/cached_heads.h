// What attention mixers do with a key-value cache, over the rows of a pass.
#pragma once
#include "formwork/runtime/mixers/kv_cache.h"
#include "formwork/runtime/pass.h"

namespace formwork::runtime {

// Keys [rows, heads * width] and values [rows, heads * value width], rows that far apart, enter the cache as
// the tokens of their sequences.
void store_heads(const Pass& pass, KvCache& cache, In keys, In values);

// Every query of the pass. `all` is a call for the first key head and row 0 of the pass: its q, o, slopes and
// bias are those of the first head, and those of the others follow; blocks, head, first and queries are
// filled in here.
void attend_heads(const Pass& pass, const KvCache& cache, const CachedAttention& all);

}  // namespace formwork::runtime
