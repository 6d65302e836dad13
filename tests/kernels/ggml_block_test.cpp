#include "formwork/kernels/cpu/ggml_block.h"

#include <gtest/gtest.h>

#include "formwork/kernels/cpu/ggml_rows.h"
#include "kernels/every_target.h"
#include "parity/fixture.h"

namespace formwork {
namespace {

std::vector<GgmlLayout> quantized() {
  std::vector<GgmlLayout> some;
  for (const auto& layout : ggml_layouts())
    if (layout.values > 1) some.push_back(layout);
  return some;
}

// A random matrix in blocks, and its values.
struct Weight {
  GgmlType type;
  int64_t outputs, inputs;
  std::vector<uint8_t> blocks;
  at::Tensor values;

  Weight(GgmlType type, int64_t outputs, int64_t inputs) : type(type), outputs(outputs), inputs(inputs) {
    const auto plain = at::randn({outputs, inputs}).mul_(0.1);
    blocks.resize(static_cast<size_t>(outputs * raw().row_bytes()));
    ggml_encode(type, plain.data_ptr<float>(), outputs, inputs, blocks.data());
    values = at::empty({outputs, inputs});
    ggml_decode(raw(), 0, outputs, values.data_ptr<float>());
  }
  GgmlMatrix raw() const { return {type, outputs, inputs, blocks.data()}; }
};

at::Tensor product(const GgmlMatrix& w, const at::Tensor& x, const at::Tensor& bias = {},
                   std::optional<GgmlWay> way = {}) {
  auto y = at::full({x.size(0), w.outputs}, 7.0f);
  // What stands there before must not matter.
  auto work = at::full({x.size(0), ggml_work(w)}, NAN);
  const float* b = bias.defined() ? bias.data_ptr<float>() : nullptr;
  if (way)
    ggml_linear_by(*way, x.data_ptr<float>(), x.size(0), x.stride(0), w, b, y.data_ptr<float>(),
                   work.data_ptr<float>());
  else
    ggml_linear(x.data_ptr<float>(), x.size(0), x.stride(0), w, b, y.data_ptr<float>(),
                work.data_ptr<float>());
  return y;
}

at::Tensor product(const Weight& w, const at::Tensor& x, const at::Tensor& bias = {},
                   std::optional<GgmlWay> way = {}) {
  return product(w.raw(), x, bias, way);
}

// The ways that this processor has.
std::vector<GgmlWay> ways(GgmlType type) {
  std::vector<GgmlWay> some;
  for (const auto way : {GgmlWay::portable, GgmlWay::avx2, GgmlWay::vnni})
    if (ggml_kernel(way, type)) some.push_back(way);
  return some;
}

// x as the codes of its blocks of 32 stand for it.
at::Tensor rounded(const at::Tensor& x) {
  auto wide = at::constant_pad_nd(x, {0, (32 - x.size(1) % 32) % 32}).unflatten(1, {-1, 32});
  const auto largest = wide.abs().amax(-1, true);
  const auto scale = at::where(largest > 0, largest / 127, at::ones_like(largest)).to(at::kDouble);
  const auto inverse = at::where(largest > 0, 127 / largest, at::ones_like(largest));
  return ((wide * inverse).round().to(at::kDouble) * scale).flatten(1).narrow(1, 0, x.size(1));
}

bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  return at::equal(a.contiguous().view(at::kInt), b.contiguous().view(at::kInt));
}

TEST(GgmlBlock, DecodesAndEncodesAsTheReferenceDoes) {
  const auto fixture = parity_fixture("ggml_blocks");
  const auto& values = fixture.at("values");
  for (const auto& layout : ggml_layouts()) {
    const std::string name = layout.name;
    const auto blocks = fixture.at(name + ".blocks").contiguous();
    auto decoded = at::empty({3, 512});
    ggml_decode({layout.type, 3, 512, blocks.data_ptr<uint8_t>()}, 0, 3, decoded.data_ptr<float>());
    EXPECT_TRUE(same_bits(decoded, fixture.at(name + ".decoded"))) << name;
    const auto found = fixture.find(name + ".encoded");
    ASSERT_NE(found, fixture.end()) << name;
    auto encoded = at::zeros({3, 512 / layout.values * layout.bytes}, at::kByte);
    ggml_encode(layout.type, values.data_ptr<float>(), 3, 512, encoded.data_ptr<uint8_t>());
    if (layout.type != GgmlType::q4_k && layout.type != GgmlType::q5_k) {
      EXPECT_TRUE(at::equal(encoded, found->second)) << name;
      continue;
    }
    // Where two grids are nearly as good, that library takes the other one now and then (2 to 6 % of the
    // bytes); why is not known.
    EXPECT_GT(encoded.eq(found->second).to(at::kFloat).mean().item<double>(), 0.85) << name;
    const auto error = [&](const at::Tensor& blocks) {
      auto back = at::empty({3, 512});
      ggml_decode({layout.type, 3, 512, blocks.const_data_ptr<uint8_t>()}, 0, 3, back.data_ptr<float>());
      return (back - values).norm().item<double>();
    };
    EXPECT_NEAR(error(encoded) / error(found->second.contiguous()), 1, 0.02) << name;
  }
}

TEST(GgmlBlock, HalvesRoundToTheNearest) {
  auto values = at::cat({at::randn({4096}) * at::randn({4096}).mul(8).exp2(),
                         at::tensor({0.0f, -0.0f, 65504.0f, 65519.9f, 65520.0f, 6.1e-5f, 5.96e-8f, 2.98e-8f,
                                     2.99e-8f, 1e-30f, INFINITY, -INFINITY})});
  for (const auto& [type, dtype] :
       {std::pair(GgmlType::f16, at::kHalf), std::pair(GgmlType::bf16, at::kBFloat16)}) {
    std::vector<uint16_t> bits(static_cast<size_t>(values.numel()));
    ggml_encode(type, values.data_ptr<float>(), 1, values.numel(), reinterpret_cast<uint8_t*>(bits.data()));
    const auto ours = at::from_blob(bits.data(), values.sizes(), at::kShort);
    EXPECT_TRUE(at::equal(ours, values.to(dtype).view(at::kShort)));
    auto back = at::empty_like(values);
    ggml_decode({type, 1, values.numel(), reinterpret_cast<uint8_t*>(bits.data())}, 0, 1,
                back.data_ptr<float>());
    EXPECT_TRUE(same_bits(back, values.to(dtype).to(at::kFloat)));
  }
}

TEST(GgmlBlock, RoundingErrorIsAsSmallAsTheFormatAllows) {
  at::manual_seed(3);
  const std::map<std::string, double> most = {{"f16", 3e-4},   {"bf16", 3e-3}, {"q8_0", 7e-3},
                                              {"q4_0", 0.1},   {"q4_1", 0.09}, {"q4_k", 0.08},
                                              {"q5_k", 0.045}, {"q6_k", 0.025}};
  const auto plain = at::randn({8, 1024});
  for (const auto& layout : ggml_layouts()) {
    std::vector<uint8_t> blocks(static_cast<size_t>(8 * 1024 / layout.values * layout.bytes));
    ggml_encode(layout.type, plain.data_ptr<float>(), 8, 1024, blocks.data());
    auto values = at::empty_like(plain);
    ggml_decode({layout.type, 8, 1024, blocks.data()}, 0, 8, values.data_ptr<float>());
    EXPECT_LT(((values - plain).norm() / plain.norm()).item<double>(), most.at(layout.name)) << layout.name;
  }
}

TEST(GgmlBlock, ASecondRoundingChangesNothingInSimpleFormats) {
  at::manual_seed(4);
  for (const auto type : {GgmlType::f16, GgmlType::bf16, GgmlType::q8_0}) {
    const Weight w(type, 5, 96);
    std::vector<uint8_t> again(w.blocks.size());
    ggml_encode(type, w.values.data_ptr<float>(), 5, 96, again.data());
    auto values = at::empty_like(w.values);
    ggml_decode({type, 5, 96, again.data()}, 0, 5, values.data_ptr<float>());
    EXPECT_LT((values - w.values).abs().max().item<double>(), 1e-6);
  }
}

void expect_products() {
  at::manual_seed(1);
  for (const auto& layout : ggml_layouts())
    for (const auto& [rows, inputs, outputs] : std::vector<std::array<int64_t, 3>>{{1, 256, 4},
                                                                                   {3, 576, 9},
                                                                                   {5, 1536, 6},
                                                                                   {4, 32, 1},
                                                                                   {2, 8, 3},
                                                                                   {1, 40, 17},
                                                                                   {21, 160, 5},
                                                                                   {7, 100, 2}}) {
      const Weight w(layout.type, outputs, inputs);
      const auto wide = at::randn({rows, inputs + 5}), x = wide.narrow(1, 0, inputs),
                 bias = at::randn({outputs});
      const auto read = layout.values > 1 ? rounded(x) : x.to(at::kDouble);
      const auto want = at::linear(read, w.values.to(at::kDouble), bias.to(at::kDouble));
      EXPECT_LT((product(w, x, bias) - want).abs().max().item<double>(),
                2e-6 * (1 + want.abs().max().item<double>()))
          << layout.name << " " << rows << "x" << inputs << "x" << outputs;
    }
}

TEST(GgmlBlock, ProductsAreThoseOfTheDecodedValues) { for_every_target(expect_products); }

TEST(GgmlBlock, EveryWayGivesTheSameBits) {
  at::manual_seed(2);
  for (const auto& layout : quantized())
    for (const int64_t inputs : {32, 96, 128, 576, 1536, 200})
      for (const int64_t rows : {1, 4, 6}) {
        const Weight w(layout.type, 11, inputs);
        const auto x = at::randn({rows, inputs}), bias = at::randn({11}),
                   portable = product(w, x, bias, GgmlWay::portable);
        for (const auto way : ways(layout.type))
          EXPECT_TRUE(same_bits(product(w, x, bias, way), portable))
              << layout.name << " " << inputs << " way " << static_cast<int>(way);
      }
}

TEST(GgmlBlock, EveryWayTakesTheGreatestCodes) {
  // Codes and inputs of the greatest size, where 16 bits are nearly too few.
  for (const auto& layout : quantized()) {
    Weight w(layout.type, 5, 512);
    const auto x = at::where(at::rand({2, 512}) < 0.5, at::full({2, 512}, -1.0f), at::ones({2, 512}));
    for (const uint8_t byte : {0xFF, 0x80, 0x7F, 0x00}) {
      std::vector<uint8_t> blocks(w.blocks.size());
      const auto values = at::full({5, 512}, static_cast<float>(static_cast<int8_t>(byte)));
      ggml_encode(layout.type, values.data_ptr<float>(), 5, 512, blocks.data());
      w.blocks = blocks;
      const auto portable = product(w, x, {}, GgmlWay::portable);
      for (const auto way : ways(layout.type))
        EXPECT_TRUE(same_bits(product(w, x, {}, way), portable)) << layout.name;
    }
  }
}

void expect_rows_alone() {
  at::manual_seed(5);
  for (const auto& layout : ggml_layouts()) {
    const Weight w(layout.type, 13, 352);
    const auto x = at::randn({37, 352}), together = product(w, x);
    for (const int64_t row : {0, 3, 4, 15, 16, 36})
      EXPECT_TRUE(same_bits(product(w, x.narrow(0, row, 1)), together.narrow(0, row, 1))) << layout.name;
  }
}

TEST(GgmlBlock, ARowDoesNotDependOnItsNeighbours) { for_every_target(expect_rows_alone); }

TEST(GgmlBlock, ValuesThatAreNotFiniteGiveNan) {
  for (const auto& layout : quantized())
    for (const float bad : {INFINITY, -INFINITY, NAN}) {
      const Weight w(layout.type, 5, 96);
      auto x = at::randn({2, 96});
      x[1][40] = bad;
      const auto y = product(w, x);
      EXPECT_TRUE(y[0].isfinite().all().item<bool>()) << layout.name;
      EXPECT_TRUE(y[1].isnan().all().item<bool>()) << layout.name;
    }
}

TEST(GgmlBlock, TinyAndHugeInputsKeepTheirSize) {
  for (const auto& layout : quantized()) {
    const Weight w(layout.type, 5, 96);
    const auto x = at::randn({1, 96}), y = product(w, x);
    for (const float size : {0x1p-90f, 0x1p90f})
      EXPECT_LT((product(w, x * size) / size - y).abs().max().item<double>(), 1e-5) << layout.name;
    EXPECT_EQ(product(w, at::zeros({1, 96})).abs().max().item<double>(), 0) << layout.name;
  }
}

TEST(GgmlBlock, ReadsNothingBehindTheLastBlock) {
  // At the end of a page behind which nothing may be read, the sanitizers or the processor would say so.
  for (const auto& layout : ggml_layouts())
    for (const int64_t inputs : {32, 64, 96, 128, 160}) {
      const Weight w(layout.type, 3, inputs);
      const auto exact = std::make_unique<uint8_t[]>(w.blocks.size());
      std::copy(w.blocks.begin(), w.blocks.end(), exact.get());
      const auto x = at::randn({2, inputs});
      for (const auto way : ways(layout.type))
        EXPECT_TRUE(same_bits(product({layout.type, 3, inputs, exact.get()}, x, {}, way), product(w, x)))
            << layout.name;
    }
}

}  // namespace
}  // namespace formwork
