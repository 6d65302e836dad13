// The same weights give the same losses and gradients as the code of InfoPro's authors: the decoder of
// images, the auxiliary classifiers of each shape, and the supervised contrastive loss.
#include "formwork/heads/head.h"
#include "formwork/heads/reconstructors/reconstructor.h"
#include "formwork/train/objectives/reconstruction.h"
#include "formwork/train/objectives/supervised_contrastive.h"
#include "formwork/train/objectives/token_cross_entropy.h"
#include "parity/fixture.h"

namespace formwork {
namespace {

constexpr double kParityBound = 1e-5;

// A part built alone, and the parameters that it asked for.
struct Alone {
  Alone(int64_t in, int64_t out) : build(inventory, "part", {}, Axis{"", out}) {
    build.in = build.axis("in", in);
  }
  // Gives the parameters, in the order of building, those of theirs whose names begin so, in that of theirs.
  void fill(const TensorMap& theirs, const std::string& prefix, const std::vector<std::string>& names) {
    const at::NoGradGuard guard;
    size_t next = 0;
    for (auto& param : inventory.params) {
      if (param.rule.frozen) continue;
      ASSERT_LT(next, names.size()) << param.name;
      param.value.copy_(theirs.at(prefix + names[next++]).view(param.value.sizes()));
    }
    EXPECT_EQ(next, names.size());
  }
  Inventory inventory;
  Build build;
};

// [B, C, h, w] -> [B, h w, C].
Tensor tokens_of(const Tensor& map) { return map.movedim(1, -1).flatten(1, 2); }

Layout square(int64_t side) {
  Layout layout;
  layout.dims = {{"height", side}, {"width", side}};
  return layout;
}

// The loss, and its gradient at the features, which `loss_of` reads as tokens.
void expect_same(const TensorMap& theirs, const std::string& name,
                 const std::function<Tensor(Context&, const Tensor&)>& loss_of) {
  auto features = theirs.at(name + ".features").clone().set_requires_grad(true);
  Context ctx;
  ctx.mode.train = true;  // statistics of the batch
  const auto layout = square(4);
  const LayoutScope scope(ctx, layout);
  const auto loss = loss_of(ctx, tokens_of(features));
  loss.backward();
  expect_parity(name + " loss", loss, theirs.at(name + ".loss"), kParityBound);
  expect_parity(name + " slope", features.grad(), theirs.at(name + ".slope"), kParityBound);
}

TEST(LocalParity, DecoderOfImages) {
  const auto theirs = parity_fixture("local_learning_fr");
  for (const auto& [name, widen] : {std::pair{"decoder", 1.0}, {"decoder_wide", 2.0}}) {
    Alone alone(16, 3);
    const auto decoder =
        Registry<Reconstructor>::make(PartSpec("conv", {{"widen", widen}}), alone.build, Enlargement{4, 4});
    alone.fill(theirs, name,
               {".decoder.0.bias", ".decoder.0.weight", ".decoder.1.weight", ".decoder.1.bias",
                ".decoder.3.bias", ".decoder.3.weight"});
    expect_same(theirs, name, [&](Context& ctx, const Tensor& x) {
      return pixel_distance(decoder->forward(ctx, x, square(16)), tokens_of(theirs.at("image")));
    });
  }
}

TEST(LocalParity, AuxiliaryClassifiers) {
  const auto theirs = parity_fixture("local_learning_fr");
  const auto labels = theirs.at("labels").to(at::kLong);
  for (const char* config : {"0c1f", "0c2f", "1c1f", "1c2f", "1c3f", "2c2f"})
    for (const int64_t planes : {16, 64})
      for (const bool contrast : {true, false}) {
        const auto name = fmt::format("{}.{}.{}", config, planes, contrast ? "contrast" : "cross_entropy");
        if (!theirs.count(name + ".loss")) continue;
        const int64_t convs = config[0] - '0', linears = config[2] - '0';
        Alone alone(planes, 0);
        // Theirs widens the convolutions of 2 x 16 channels, and keeps the 64 of the last stage's.
        PartSpec spec("conv_classifier", {{"norm", nullptr},
                                          {"convs", convs},
                                          {"linears", linears},
                                          {"classes", 3},
                                          {"features", 8},
                                          {"widen", 0.25},
                                          {"embedding", contrast},
                                          {"last_stage", planes == 64}});
        const auto head = Registry<Head>::make(alone.build, spec);
        // Convolution and norm are three of their layers, a pooling and a flattening follow, then maps and
        // activations take turns.
        std::vector<std::string> names;
        int64_t layer = 0;
        for (int64_t i = 0; i < convs; ++i, layer += 3) {
          names.push_back(fmt::format(".head.{}.weight", layer));
          for (const char* kind : {"weight", "bias"})
            names.push_back(fmt::format(".head.{}.{}", layer + 1, kind));
        }
        layer += 2;
        for (int64_t i = 0; i < linears; ++i, layer += 2)
          for (const char* kind : {"bias", "weight"})
            names.push_back(fmt::format(".head.{}.{}", layer, kind));
        alone.fill(theirs, name, names);
        expect_same(theirs, name, [&](Context& ctx, const Tensor& x) {
          Record out;
          head->forward(ctx, x, out);
          return contrast ? supervised_contrastive(out.at("embedding"), labels)
                          : token_cross_entropy(out.at("logits"), labels, 1 / 6.0);
        });
      }
}

TEST(LocalParity, SupervisedContrastiveLoss) {
  const auto theirs = parity_fixture("local_learning_fr");
  for (const char* tau : {"0.07", "0.5"})
    expect_parity(
        std::string("tau ") + tau,
        supervised_contrastive(theirs.at("supcon.z"), theirs.at("labels").to(at::kLong), std::stod(tau)),
        theirs.at(std::string("supcon.") + tau), kParityBound);
}

}  // namespace
}  // namespace formwork
