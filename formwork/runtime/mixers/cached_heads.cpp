#include "formwork/runtime/mixers/cached_heads.h"

#include "formwork/kernels/cpu/parallel_tasks.h"

namespace formwork::runtime {

void store_heads(const Pass& pass, KvCache& cache, In keys, In values) {
  const auto& layout = cache.layout();
  for (const auto& sequence : pass.sequences) {
    cache.reserve(sequence.row, sequence.start + sequence.count);
    for (int64_t i = 0; i < sequence.count; ++i) {
      const int64_t token = sequence.start + i, row = sequence.first + i;
      std::byte* block = cache.block_of(sequence.row, token);
      for (int64_t h = 0; h < layout.heads; ++h)
        cache_token(layout, block, h, token % kCacheBlock, keys.data + row * keys.stride + h * layout.width,
                    values.data + row * values.stride + h * layout.value_width);
    }
  }
}

void attend_heads(const Pass& pass, const KvCache& cache, const CachedAttention& all) {
  // A task is a head's queries of one sequence, or 64 of them where there are more.
  constexpr int64_t kTask = 64;
  const auto& layout = cache.layout();
  const auto tasks_of = [&](const Sequence& s) {
    return layout.heads * ((s.count * all.group + kTask - 1) / kTask);
  };
  int64_t tasks = 0;
  for (const auto& sequence : pass.sequences) tasks += tasks_of(sequence);
  parallel_tasks(tasks, [&](int64_t task) {
    size_t s = 0;
    while (task >= tasks_of(pass.sequences[s])) task -= tasks_of(pass.sequences[s++]);
    const Sequence& sequence = pass.sequences[s];
    const int64_t head = task % layout.heads, begin = task / layout.heads * kTask,
                  first_head = head * all.group;
    CachedAttention call = all;
    call.blocks = cache.blocks(sequence.row), call.head = head;
    call.first = sequence.start, call.queries = sequence.count;
    if (all.slopes) call.slopes = all.slopes + first_head;
    if (all.bias) call.bias = all.bias + first_head * all.reach;
    call.q = all.q + sequence.first * all.q_stride + first_head * layout.width;
    call.o = all.o + sequence.first * all.o_stride + first_head * layout.value_width;
    cached_attention(call, begin, std::min(begin + kTask, sequence.count * all.group));
  });
}

}  // namespace formwork::runtime
