// The same float16 inputs and weights give the codes, scales and outlier columns of bitsandbytes, and its
// outputs within the rounding of float16, in which it adds up.
#include "int8_maps.h"
#include "parity/fixture.h"

namespace formwork {
namespace {

struct Quantized {
  Tensor codes, scale;
};

Quantized quantized(const Tensor& x, const Int8Outliers* outliers) {
  Quantized made{at::empty(x.sizes(), at::kChar), at::empty({x.size(0)}, at::kFloat)};
  const Int8Input in{x.const_data_ptr<float>(), x.size(0), x.size(1), outliers};
  int8_row_scales(in, false, made.scale.mutable_data_ptr<float>());
  int8_quantize_rows(in, made.scale.const_data_ptr<float>(), made.codes.mutable_data_ptr<int8_t>());
  return made;
}

TEST(Int8Parity, CodesScalesAndOutlierColumns) {
  const auto theirs = parity_fixture("llm_int8");
  const auto x = theirs.at("x").to(at::kFloat), w = theirs.at("weight").to(at::kFloat);
  const auto weight = int8_tensors(w);
  EXPECT_TRUE(at::equal(weight.at("codes"), theirs.at("weight_codes")));
  EXPECT_TRUE(at::equal(weight.at("scale"), theirs.at("weight_scale")));

  const Int8Input in{x.const_data_ptr<float>(), x.size(0), x.size(1)};
  const Int8Outliers outliers{int8_find_outliers(in, 6), 6, Int8RowMax::values};
  ASSERT_EQ(outliers.columns.size(), 2u);
  EXPECT_TRUE(at::equal(at::tensor(outliers.columns), theirs.at("outliers")));
  const auto decomposed = quantized(x, &outliers), plain = quantized(x, nullptr);
  EXPECT_TRUE(at::equal(decomposed.scale, theirs.at("x_scale")));
  EXPECT_TRUE(at::equal(decomposed.codes, theirs.at("x_codes")));
  EXPECT_TRUE(at::equal(plain.scale, theirs.at("plain_x_scale")));
  EXPECT_TRUE(at::equal(plain.codes, theirs.at("plain_x_codes")));
}

TEST(Int8Parity, Outputs) {
  const at::NoGradGuard guard;
  const auto theirs = parity_fixture("llm_int8");
  for (const auto& [name, options] :
       std::map<std::string, Json>{{"decomposed", int8(6, "values")}, {"plain", int8(0)}}) {
    OneMap map(64, 24, options, at::kFloat, true);
    map.set(int8_tensors(theirs.at("weight").to(at::kFloat)));
    map.set({{"bias", theirs.at("bias").to(at::kFloat)}});
    const auto y = map(theirs.at("x"));
    EXPECT_EQ(y.scalar_type(), at::kHalf);
    const auto& right = theirs.at(name);
    // Half a unit of float16 at the largest output for each of: their integer part, their product of the
    // outlier columns, their sum, and our one rounding.
    const double unit = std::exp2(std::floor(std::log2(right.abs().max().item<double>())) - 10);
    const double gap = largest_gap(y, right);
    RecordProperty(name, fmt::format("{:.2g} of {:.2g}", gap, right.abs().max().item<double>()));
    EXPECT_LE(gap, 4 * unit / 2) << name;
    EXPECT_LT((y - right).to(at::kDouble).norm().item<double>(),
              1e-3 * right.to(at::kDouble).norm().item<double>());
  }
}

}  // namespace
}  // namespace formwork
