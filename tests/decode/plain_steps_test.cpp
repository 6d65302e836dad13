// Steps without a runtime form, run by LibTorch among those of the runtime.
#include "formwork/decode/plain_steps.h"

#include "runtime/fixtures.h"

namespace formwork {
namespace {

// Three layers: attention, a state-space layer with complex states (no runtime form), attention.
Json hybrid() {
  auto spec = small_spec();
  auto& layers = spec["model"]["layers"];
  const Json layer = layers["pattern"][0];
  Json other = layer;
  other["mixer"] = {{"type", "mamba"}, {"complex", true}, {"d_state", 4}};
  layers = Json::array({layer, other, layer});
  return spec;
}

Json with_adapters() {
  auto spec = small_spec();
  spec["attach"] = {{"layers.0.mixer.out", {{"type", "adapter"}, {"width", 4}}},
                    {"layers.1.mixer.stream", {{"type", "adapter"}, {"width", 4}}},
                    {"layers.1.channel.out", {{"type", "adapter"}, {"width", 4}}}};
  return spec;
}

std::unique_ptr<FastPath> fast(const Model& model, int64_t rows, std::string& reason,
                               int64_t reversible = 0) {
  StateOptions options;
  options.batch = rows, options.dtype = model.inventory().dtype, options.reversible = reversible;
  return FastPath::make(model, options, reason);
}

Tensor ids_of(int64_t count, int64_t row = 0) { return at::tensor(some_ids(count, row)).unsqueeze(0); }

double gap(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

TEST(PlainSteps, RunBesideThoseOfTheRuntime) {
  for (const auto& [spec, first_reason] :
       {std::pair(hybrid(), "layers.1.mixer: 'mamba' with complex states has no runtime form"),
        std::pair(with_adapters(), "attach: the part on 'layers.0.mixer.out' has no runtime form")}) {
    const auto model = noisy_float(spec, 0.1);
    std::string reason;
    const auto path = fast(*model, 1, reason);
    ASSERT_TRUE(path) << reason;
    EXPECT_EQ(reason.find(first_reason), 0U) << reason;
    for (const int64_t count : {11, 90}) {
      const auto expected = plain_logits(*model, some_ids(count));
      EXPECT_LT(gap(fast(*model, 1, reason)->append_all(ids_of(count))[0], expected), 1e-4);
      EXPECT_GT(expected.abs().max().item<double>(), 0.1);
    }
  }
}

TEST(PlainSteps, GiveASequenceTheSameBitsHoweverItIsServed) {
  const auto model = noisy_float(hybrid(), 0.1);
  std::string reason;
  const auto whole = fast(*model, 1, reason)->append_all(ids_of(12, 1));
  const auto cut = fast(*model, 1, reason);
  const auto first = cut->append_all(ids_of(12, 1).narrow(1, 0, 5)),
             rest = cut->append_all(ids_of(12, 1).narrow(1, 5, 7));
  EXPECT_TRUE(at::cat({first, rest}, 1).equal(whole));
  const auto together = fast(*model, 3, reason);
  const auto last = together->append(at::cat({ids_of(12, 0), ids_of(12, 1), ids_of(12, 2)}));
  EXPECT_TRUE(last[1].equal(whole[0][11]));
}

TEST(PlainSteps, ForkAndForget) {
  const auto model = noisy_float(hybrid(), 0.1);
  std::string reason;
  const auto path = fast(*model, 2, reason, 2);
  path->append(at::cat({ids_of(6, 0), ids_of(6, 1)}));
  path->select(at::tensor({1, 1, 0}, at::kLong));
  const auto next = at::full({3, 1}, 4, at::kLong);
  const auto expected = path->append(next);
  EXPECT_TRUE(expected[0].equal(expected[1]));
  EXPECT_FALSE(expected[0].equal(expected[2]));
  for (int64_t row = 0; row < 3; ++row) path->truncate(row, 6);
  EXPECT_TRUE(path->append(next).equal(expected));
  for (int64_t row = 0; row < 3; ++row) path->truncate(row, 0);
  const auto fresh = fast(*model, 3, reason)->append(next);
  EXPECT_TRUE(path->append(next).equal(fresh));
}

TEST(PlainSteps, RefuseWhatIsAttachedOutsideAStep) {
  auto spec = small_spec();
  const auto model = noisy_float(spec);
  const auto& taps = model->inventory().taps.all();
  const auto outside =
      std::find_if(taps.begin(), taps.end(), [](const auto& tap) { return !tap.starts_with("layers."); });
  ASSERT_NE(outside, taps.end());
  spec["attach"] = {{*outside, {{"type", "adapter"}, {"width", 4}}}};
  std::string reason;
  EXPECT_EQ(fast(*noisy_float(spec), 1, reason), nullptr);
  EXPECT_EQ(reason, fmt::format("attach: the part on '{}' has no runtime form", *outside));
}

// Weights in 16 bits are read as they are; sums and activations are float32 there.
TEST(FastPath, TakesModelsIn16Bits) {
  for (const auto dtype : {at::kBFloat16, at::kHalf})
    for (const auto& spec : {small_spec(), hybrid()}) {
      const auto wide = noisy_float(spec, 0.1);
      const auto narrow = build_model(wide->spec(), 3, dtype);
      const at::NoGradGuard guard;
      for (auto& param : narrow->inventory().params) {
        auto& from = wide->inventory().by_name.at(param.name)->value;
        param.value.copy_(from);
        from.copy_(param.value);
      }
      std::string reason;
      const auto path = fast(*narrow, 1, reason);
      ASSERT_TRUE(path) << reason;
      const auto found = path->append_all(ids_of(12))[0], expected = plain_logits(*wide, some_ids(12));
      const double bound = reason.empty()       ? 1e-4
                           : dtype == at::kHalf ? 2e-2
                                                : 0.1;  // a plain step rounds its own
      EXPECT_LT(gap(found, expected), bound * std::max(1.0, expected.abs().max().item<double>())) << reason;
    }
}

}  // namespace
}  // namespace formwork
