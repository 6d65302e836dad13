#include "formwork/data/masked_lm.h"

#include "formwork/core/error.h"
#include "formwork/data/random.h"

namespace formwork {
namespace {

// Apart from the stream that placed the windows of the same (seed, step).
constexpr uint64_t corruption_stream = 0x6D61736B;

void check(const MaskedLmOptions& options) {
  const auto is_share = [](double value) { return value >= 0 && value <= 1; };
  if (!is_share(options.probability) || !is_share(options.mask_share) || !is_share(options.random_share) ||
      options.mask_share + options.random_share > 1 + 1e-9)
    fail("expected shares in [0, 1] with mask + random <= 1, found probability {}, mask {}, random {}",
         options.probability, options.mask_share, options.random_share);
  if (options.mask_id < 0 || options.mask_id >= options.vocab_size)
    fail("expected a mask id in [0, {}), found {}", options.vocab_size, options.mask_id);
}

int64_t corrupted(int64_t token, const MaskedLmOptions& options, Random& random) {
  const double kind = random.uniform();
  if (kind < options.mask_share) return options.mask_id;
  if (kind < options.mask_share + options.random_share) return random.below(options.vocab_size);
  return token;
}

}  // namespace

TokenBatch mask_tokens(const TokenBatch& batch, const MaskedLmOptions& options, uint64_t seed, int64_t step) {
  check(options);
  TokenBatch result{batch.tokens.clone(at::MemoryFormat::Contiguous),
                    at::full_like(batch.tokens, ignored_target, at::MemoryFormat::Contiguous), batch.lengths};
  Random random{seed, static_cast<uint64_t>(step), corruption_stream};
  int64_t* tokens = result.tokens.mutable_data_ptr<int64_t>();
  int64_t* targets = result.targets.mutable_data_ptr<int64_t>();
  const at::Tensor lengths = batch.lengths.contiguous();
  const int64_t width = batch.tokens.size(1);
  int64_t chosen = 0, first_choice = -1;
  const auto choose = [&](int64_t at) {
    targets[at] = tokens[at];
    tokens[at] = corrupted(tokens[at], options, random);
    ++chosen;
  };
  for (int64_t row = 0; row < batch.tokens.size(0); ++row) {
    const int64_t length = lengths.const_data_ptr<int64_t>()[row];
    for (int64_t at = row * width; at < row * width + length; ++at) {
      if (tokens[at] < 0 || tokens[at] >= options.vocab_size)
        fail("expected token ids in [0, {}), found {}", options.vocab_size, tokens[at]);
      const auto& kept = options.protected_ids;
      if (std::find(kept.begin(), kept.end(), tokens[at]) != kept.end()) continue;
      if (first_choice < 0) first_choice = at;
      if (random.uniform() < options.probability) choose(at);
    }
  }
  if (chosen == 0 && first_choice >= 0 && options.probability > 0) choose(first_choice);
  return result;
}

}  // namespace formwork
