#include "formwork/kernels/cpu/rotary.h"

#include <gtest/gtest.h>

#include "compare.h"

namespace formwork {

template <class T>
class RotaryTest : public ::testing::Test {};
TYPED_TEST_SUITE(RotaryTest, BothTypes);

// As a product of complex numbers, on the middle part of a fused qkv tensor.
TYPED_TEST(RotaryTest, TurnsPairsLikeComplexNumbersAndBack) {
  using T = TypeParam;
  for (auto layout : {RotaryLayout::interleaved, RotaryLayout::halves})
    for (int width : {2, 6, 16, 34})
      for (bool own_tables : {false, true}) {
        const std::int64_t batch = 2, tokens = 5, heads = 3, half = width / 2;
        const auto qkv = random_values<T>({batch, tokens, 3, heads, width});
        const auto angles = random_values<T>({own_tables ? batch : 1, tokens, half}, 3);
        const auto cosines = copy_as<T>(angles.cos()), sines = copy_as<T>(angles.sin());
        auto k = qkv.select(2, 1);
        const bool pairs = layout == RotaryLayout::interleaved;
        const auto a = pairs ? k.unflatten(-1, {half, 2}).select(-1, 0) : k.narrow(-1, 0, half);
        const auto b = pairs ? k.unflatten(-1, {half, 2}).select(-1, 1) : k.narrow(-1, half, half);
        const auto turned =
            at::complex(a, b) * at::complex(cosines.to(at::kDouble), sines.to(at::kDouble)).unsqueeze(2);
        const std::vector<at::Tensor> parts = {at::real(turned), at::imag(turned)};
        const auto expected = pairs ? at::stack(parts, -1).flatten(-2) : at::cat(parts, -1);

        const auto memory = copy_as<T>(qkv), original = memory.clone();
        const Rotary shape{batch,
                           tokens,
                           heads,
                           width,
                           memory.stride(0),
                           memory.stride(1),
                           memory.stride(3),
                           own_tables ? tokens * half : 0,
                           layout};
        T* keys = raw<T>(memory) + memory.stride(2);
        rotary_forward<T>(shape, raw<T>(cosines), raw<T>(sines), keys);
        expect_near<T>(memory.select(2, 1), expected, "turned");
        EXPECT_TRUE(memory.select(2, 0).equal(original.select(2, 0)));
        EXPECT_TRUE(memory.select(2, 2).equal(original.select(2, 2)));
        rotary_inverse<T>(shape, raw<T>(cosines), raw<T>(sines), keys);
        expect_near<T>(memory, original.to(at::kDouble), "turned back");
      }
}

}  // namespace formwork
