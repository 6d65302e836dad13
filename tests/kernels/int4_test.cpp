#include "formwork/kernels/cpu/int4.h"

#include <gtest/gtest.h>

#include "formwork/core/error.h"
#include "kernels/every_target.h"

namespace formwork {
namespace {

// Random codes, and the weight that they stand for. What is left of a row's last byte is filled with ones.
struct Weight {
  int64_t outputs, inputs, group, groups;
  at::Tensor codes, scales, zeros;  // codes [O, I]
  at::Tensor packed;                // [O, (I + 1) / 2]
  Weight(int64_t outputs, int64_t inputs, int64_t group)
      : outputs(outputs),
        inputs(inputs),
        group(group),
        groups((inputs + group - 1) / group),
        codes(at::randint(16, {outputs, inputs}, at::kByte)),
        scales(at::rand({outputs, groups})),
        zeros(at::randint(16, {outputs, groups}, at::kByte)) {
    const auto pairs = at::constant_pad_nd(codes, {0, inputs % 2}, 15).view({outputs, -1, 2});
    packed = (pairs.select(2, 0) + pairs.select(2, 1) * 16).to(at::kByte).contiguous();
  }
  at::Tensor value() const {
    const auto of_input = at::arange(inputs, at::kLong).div(group, "floor");
    return (codes.to(at::kDouble) - zeros.index_select(1, of_input)) * scales.index_select(1, of_input);
  }
  Int4Weight raw() const {
    return {outputs,
            inputs,
            group,
            packed.data_ptr<uint8_t>(),
            scales.data_ptr<float>(),
            zeros.data_ptr<uint8_t>()};
  }
};

void expect_products_of_values() {
  at::manual_seed(1);
  for (auto [rows, inputs, outputs, group] : std::vector<std::array<int64_t, 4>>{{1, 8, 1, 8},
                                                                                 {1, 128, 16, 32},
                                                                                 {3, 192, 17, 64},
                                                                                 {4, 256, 33, 128},
                                                                                 {9, 64, 5, 32},
                                                                                 {6, 48, 7, 16},
                                                                                 {5, 72, 6, 24},
                                                                                 {70, 160, 70, 32},
                                                                                 // A short last group.
                                                                                 {1, 1, 1, 8},
                                                                                 {3, 7, 9, 8},
                                                                                 {5, 30, 6, 128},
                                                                                 {2, 43, 5, 16},
                                                                                 {9, 100, 7, 24},
                                                                                 {4, 688, 10, 128},
                                                                                 {70, 97, 70, 64}}) {
    const Weight weight(outputs, inputs, group);
    const auto wide = at::randn({rows, inputs + 3}), x = wide.narrow(1, 0, inputs),
               bias = at::randn({outputs});
    for (const bool with_bias : {false, true}) {
      auto y = at::empty({rows, outputs});
      int4_linear(x.data_ptr<float>(), rows, x.stride(0), weight.raw(),
                  with_bias ? bias.data_ptr<float>() : nullptr, y.data_ptr<float>());
      auto want = at::matmul(x.to(at::kDouble), weight.value().t());
      if (with_bias) want = want + bias;
      EXPECT_LT((y - want).abs().max().item<double>() / (1 + want.abs().max().item<double>()), 1e-6)
          << rows << "x" << inputs << "x" << outputs << " group " << group;
    }
  }
}

TEST(Int4, LinearEqualsTheProductOfTheValues) { for_every_target(expect_products_of_values); }

void expect_values_of_rows() {
  at::manual_seed(2);
  for (const int64_t inputs : {192, 187, 5})
    for (const int64_t group : {8, 16, 24, 32, 64, 256}) {
      const Weight weight(37, inputs, group);
      for (const int64_t first : {11, 17}) {
        auto rows = at::full({21, inputs}, 7.0f);
        int4_dequantize(weight.raw(), first, 20, rows.data_ptr<float>());
        EXPECT_LT((rows.narrow(0, 0, 20) - weight.value().narrow(0, first, 20)).abs().max().item<double>(),
                  1e-5)
            << inputs << " by " << group;
        EXPECT_TRUE(rows[20].eq(7).all().item<bool>()) << "written past the rows";
      }
    }
}

TEST(Int4, DequantizesAnyRows) { for_every_target(expect_values_of_rows); }

TEST(Int4, RefusesGroupsThatAreNoMultipleOfEight) {
  const float x[48] = {};
  float y = 0;
  EXPECT_THROW(int4_linear(x, 1, 48, {1, 48, 0}, nullptr, &y), Error);
  EXPECT_THROW(int4_linear(x, 1, 48, {1, 48, 12}, nullptr, &y), Error);
}

}  // namespace
}  // namespace formwork
