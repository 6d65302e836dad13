#include "formwork/linear/quantized/ggml_block.h"

#include <gtest/gtest.h>

#include "one_map.h"

namespace formwork {
namespace {

Json kept(const GgmlLayout& layout) { return {{"type", "ggml_block"}, {"format", layout.name}}; }

TEST(GgmlBlockMap, MultipliesByItsDense) {
  at::manual_seed(7);
  for (const auto& layout : ggml_layouts())
    for (const int64_t rows : {0, 1, 5, 40}) {
      OneMap map(256, 12, kept(layout), at::kFloat, true);
      map.tensor("blocks") = ggml_blocks(layout.type, at::randn({12, 256}));
      const auto x = at::randn({rows, 256});
      const auto by_graph = map(x);  // the bias asks for a gradient
      const at::NoGradGuard guard;
      const auto reference = at::linear(x, map.map->dense(), map.tensor("bias"));
      EXPECT_LT(largest(by_graph - reference), 1e-4) << layout.name;
      // Inputs are rounded to 8 bits.
      EXPECT_LT(largest(map(x) - reference), layout.values > 1 ? 0.6 : 1e-4) << layout.name;
      if (rows > 0)
        EXPECT_LT(((map(x) - reference).norm() / reference.norm()).item<double>(), 0.02) << layout.name;
    }
}

TEST(GgmlBlockMap, TakesRowsOfItsDense) {
  at::manual_seed(8);
  for (const auto& layout : ggml_layouts()) {
    OneMap map(256, 12, kept(layout));
    map.tensor("blocks") = ggml_blocks(layout.type, at::randn({12, 256}));
    Context ctx;
    const auto ids = at::tensor({3, 11, 3, 0}, at::kLong).view({2, 2});
    EXPECT_TRUE(at::equal(map.map->rows(ctx, ids), at::embedding(map.map->dense(), ids))) << layout.name;
  }
}

TEST(GgmlBlockMap, KeepsAsManyBytesAsTheFormatSays) {
  const std::map<std::string, int64_t> bytes = {{"f16", 512},  {"bf16", 512}, {"q8_0", 272}, {"q4_0", 144},
                                                {"q4_1", 160}, {"q4_k", 144}, {"q5_k", 176}, {"q6_k", 210}};
  for (const auto& layout : ggml_layouts()) {
    OneMap map(256, 3, kept(layout));
    EXPECT_EQ(map.map->bytes(), 3 * bytes.at(layout.name)) << layout.name;
  }
}

TEST(GgmlBlockMap, FillsAShortLastBlockWithZeros) {
  at::manual_seed(9);
  for (const auto& layout : ggml_layouts()) {
    const auto w = at::randn({4, 43}), x = at::randn({3, 43});
    OneMap map(43, 4, kept(layout));
    map.tensor("blocks") = ggml_blocks(layout.type, w);
    EXPECT_LT(((map.map->dense() - w).norm() / w.norm()).item<double>(), 0.12) << layout.name;
    const at::NoGradGuard guard;
    const auto reference = at::linear(x, map.map->dense());
    EXPECT_LT(((map(x) - reference).norm() / reference.norm()).item<double>(), 0.02) << layout.name;
  }
}

TEST(GgmlBlockMap, PassesGradientsToInputsAndBias) {
  at::manual_seed(10);
  OneMap map(40, 3, {{"type", "ggml_block"}, {"format", "q4_1"}}, at::kDouble, true);
  const auto x = at::randn({4, 40}, at::kDouble).requires_grad_();
  EXPECT_LT(gradient_error(x, [&] { return map(x); }), 1e-8);
  EXPECT_LT(gradient_error(map.tensor("bias"), [&] { return map(x); }), 1e-8);
}

TEST(GgmlBlockMap, RefusesUnknownFormatsAndValuesThatAreNotFinite) {
  EXPECT_THROW(OneMap(32, 2, {{"type", "ggml_block"}, {"format", "q3_0"}}), Error);
  EXPECT_THROW(ggml_blocks(GgmlType::q8_0, at::full({1, 32}, NAN)), Error);
}

}  // namespace
}  // namespace formwork
