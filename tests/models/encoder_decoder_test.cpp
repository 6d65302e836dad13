#include <gtest/gtest.h>

#include "formwork/models/model.h"

namespace formwork {
namespace {

Spec translator(const std::string& more = "") {
  const auto text = R"({"formwork": 1, "model": {"type": "encoder_decoder", "vocab": 17, "width": 16,
    "position": {"type": "learned", "context": 16}, 
    "encoder_layers": {"repeat": 2, "pattern": [{"mixer": {"type": "attention", "heads": 2},
                                                "channel": "mlp"}]},
    "decoder_layers": {"repeat": 2, "pattern": [{"mixer": {"type": "attention", "heads": 4},
      "cross": {"type": "attention", "heads": 2, "memory": "memory"}, "channel": "mlp"}]})" +
                    more + "}}";
  return Spec::from_json(Json::parse(text), "test");
}

const char* const kApart = R"(, "share": false, "source_vocab": 13, "source_width": 12)";

double gap(const Tensor& a, const Tensor& b) { return (a - b).abs().max().item<double>(); }

struct Rows {
  Tensor source = at::randint(13, {3, 7}, at::kLong), target = at::randint(17, {3, 9}, at::kLong);
  Tensor mask =
      at::tensor({1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 0, 1, 1, 0}, at::kLong).view({3, 7});
};

TEST(EncoderDecoder, AppendsEqualForwardWithPaddedSources) {
  for (const std::string more : {"", kApart}) {
    auto model = build_model(translator(more), 1, at::kDouble);
    const at::NoGradGuard guard;
    const Rows rows;
    auto ctx = model->make_context();
    const auto full = model
                          ->forward(ctx, {{"input_ids", rows.source},
                                          {"attention_mask", rows.mask},
                                          {"decoder_input_ids", rows.target}})
                          .at("logits");
    StateOptions options;
    options.batch = 3, options.dtype = at::kDouble;
    auto state = model->make_state(ctx, {{"input_ids", rows.source}, {"attention_mask", rows.mask}}, options);
    int64_t at = 0;
    for (const int64_t n : {4, 1, 3, 1}) {
      const auto ids = rows.target.narrow(1, at, n);
      const auto step = model->append(ctx, {{"decoder_input_ids", ids}}, state).at("logits");
      EXPECT_LT(gap(step, full.narrow(1, at, n)), 1e-12);
      at += n;
    }
    const auto swapped = at::tensor({2, 0}, at::kLong);
    auto forked = state.fork(swapped);
    forked.roll_back(2);
    const auto ids = rows.target.index_select(0, swapped).narrow(1, 5, 4);
    const auto again = model->append(ctx, {{"input_ids", ids}}, forked).at("logits");
    EXPECT_LT(gap(again, full.index_select(0, swapped).narrow(1, 5, 4)), 1e-12);
  }
}

TEST(EncoderDecoder, SourceRowsStandAloneWhateverTheirPadding) {
  auto model = build_model(translator(), 1, at::kDouble);
  const at::NoGradGuard guard;
  const Rows rows;
  auto ctx = model->make_context();
  const auto all = model
                       ->forward(ctx, {{"input_ids", rows.source},
                                       {"attention_mask", rows.mask},
                                       {"decoder_input_ids", rows.target}})
                       .at("logits");
  for (int64_t b = 0; b < 3; ++b) {
    const auto real = rows.mask[b].nonzero().squeeze(1);
    const auto alone = model
                           ->forward(ctx, {{"input_ids", rows.source[b].index_select(0, real).unsqueeze(0)},
                                           {"decoder_input_ids", rows.target.narrow(0, b, 1)}})
                           .at("logits");
    EXPECT_LT(gap(alone[0], all[b]), 1e-12) << b;
  }
}

TEST(EncoderDecoder, SegmentsAddUpToThePass) {
  auto model = build_model(translator(), 1, at::kDouble);
  const at::NoGradGuard guard;
  const Rows rows;
  const Record in = {{"input_ids", rows.source}, {"decoder_input_ids", rows.target}};
  auto ctx = model->make_context();
  const auto full = model->forward(ctx, in).at("logits");
  auto streams = model->start(ctx, in);
  const auto count = static_cast<int64_t>(model->segments().size());
  EXPECT_EQ(count, 4 + 6);
  for (int64_t i = 0; i < count; ++i) model->run(ctx, i, i + 1, streams);
  Record out;
  model->finish(ctx, streams, out);
  EXPECT_EQ(gap(out.at("logits"), full), 0);
}

TEST(EncoderDecoder, AxesStayApartUnlessTheEmbeddingIsShared) {
  auto apart = build_model(translator(kApart));
  EXPECT_EQ(apart->inventory().axes.at("encoder.residual").size, 12);
  EXPECT_EQ(apart->inventory().axes.at("decoder.residual").size, 16);
  EXPECT_EQ(apart->inventory().axes.at("encoder.vocab").size, 13);
  EXPECT_TRUE(apart->inventory()
                  .by_name.at("decoder.layers.0.cross.key.weight")
                  ->dims[1]
                  .carries("encoder.residual"));
  auto shared = build_model(translator());
  EXPECT_EQ(shared->inventory().axes.count("residual"), 1u);
  EXPECT_EQ(shared->inventory().by_name.count("decoder.embed.weight"), 0u);
  EXPECT_THROW(build_model(translator(R"(, "source_vocab": 5)")), Error);
}

}  // namespace
}  // namespace formwork
