// Packed rows equal rows alone.
#include "mixers/attention_alone.h"

namespace formwork {
namespace {

TEST(Attention, PackedRowsEqualRowsAlone) {
  for (const auto& c : cases()) {
    if (c.mask == "cross") continue;
    for (const bool plain : {false, true}) {
      at::manual_seed(5);
      AttentionAlone packed(c), alone(c);
      packed.ctx.mode.twice_differentiable = plain;
      const auto x = rows(1, 12), weighting = at::randn({1, 12, kWidth});
      const std::vector<int64_t> prefix = {2, 0, 3};
      packed.layout.offsets = {0, 5, 6, 12};
      if (c.mask == "prefix") packed.layout.prefix = at::tensor(prefix, at::kLong);
      const auto together = value_and_gradients(packed, x, weighting);
      std::vector<Tensor> sums(together.size());
      std::vector<Tensor> values, dx;
      for (size_t s = 0; s < 3; ++s) {
        const int64_t first = packed.layout.offsets[s], n = packed.layout.offsets[s + 1] - first;
        if (c.mask == "prefix") alone.layout.prefix = at::tensor({prefix[s]}, at::kLong);
        const auto one = value_and_gradients(alone, x.narrow(1, first, n), weighting.narrow(1, first, n));
        values.push_back(one[0]), dx.push_back(one[1]);
        for (size_t i = 2; i < one.size(); ++i) sums[i] = sums[i].defined() ? sums[i] + one[i] : one[i];
      }
      sums[0] = at::cat(values, 1), sums[1] = at::cat(dx, 1);
      for (size_t i = 0; i < sums.size(); ++i)
        EXPECT_LT(distance(together[i], sums[i]) / (1 + sums[i].abs().max().item<double>()), 1e-5)
            << c.name() << (plain ? " plain" : " fused") << ", tensor " << i;
    }
  }
}

}  // namespace
}  // namespace formwork
