#include "formwork/studies/recipes/low_rank_costs.h"

#include <limits>

#include "formwork/core/random.h"
#include "formwork/report/tensor_peak.h"
#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/small_models.h"
#include "formwork/studies/recipes/timing.h"

namespace formwork {
namespace {

constexpr int64_t kCostWidth = 256, kCostLayers = 4, kCostRank = 32, kCostRows = 64, kCostTokens = 4096,
                  kCostShort = 64;

using Work = std::function<void()>;

enum Kind { full, low_rank, linformer };

std::shared_ptr<Model> encoder(Kind kind, int64_t longest) {
  const Json attention = {{"type", "attention"}, {"heads", 4}, {"fused", false}};
  const Json projected = {{"type", "linformer"}, {"heads", 4}, {"k", kCostRows}, {"tokens", longest}};
  auto spec =
      small_spec("encoder", kCostWidth, kCostLayers,
                 {{"type", "post"},
                  {"norm", "layer_norm"},
                  {"mixer", kind == linformer ? projected : attention},
                  {"channel", {{"type", "mlp"}, {"hidden", 4 * kCostWidth}, {"activation", "relu"}}}});
  spec.model.options["norm"] = nullptr;
  if (kind == low_rank) spec.linear["layers.*"] = {{"type", "low_rank"}, {"rank", kCostRank}};
  return build_model(spec, 0);
}

// `tokens` tokens in rows of `length`.
Record random_rows(const StudyContext& ctx, int64_t length, int64_t tokens) {
  auto stream = make_stream(ctx.seed(), "greenformers.rows", static_cast<uint64_t>(length));
  return {{"input_ids",
           at::empty({std::max<int64_t>(1, tokens / length), length}, at::kLong).random_(0, 256, stream)}};
}

void forward(Model& model, const Record& rows) {
  const at::NoGradGuard guard;
  auto ctx = model.make_context();
  model.forward(ctx, rows);
}

void forward_and_backward(Model& model, const Record& rows) {
  for (auto& tensor : model.trainable()) tensor.mutable_grad() = Tensor();
  auto ctx = model.make_context();
  ctx.mode.train = true;
  model.forward(ctx, rows).at("last_hidden_state").square().sum().backward();
}

int64_t peak_bytes(Model& model, const Record& rows) {
  const TensorPeak memory;
  forward(model, rows);
  return memory.bytes();
}

// {"tokens", "full", "low rank", "linformer"} (seconds) for each length, and what is read off at the ends.
Json encoders(const StudyContext& ctx, int64_t rounds) {
  const int64_t tokens = ctx.scaled(kCostTokens, kCostShort), shortest = std::min(kCostShort, tokens / 4);
  std::vector<std::shared_ptr<Model>> models;
  for (const Kind kind : {full, low_rank, linformer}) models.push_back(encoder(kind, tokens));
  Json found = {{"lengths", Json::array()}};
  for (int64_t length = shortest; length <= tokens; length *= 2) {
    const auto rows = random_rows(ctx, length, tokens);
    std::vector<Work> works;
    for (const auto& model : models) works.emplace_back([&rows, model] { forward(*model, rows); });
    const auto seconds = shortest_seconds(works, rounds);
    found["lengths"].push_back({{"tokens", length},
                                {"full", seconds[full]},
                                {"low rank", seconds[low_rank]},
                                {"linformer", seconds[linformer]},
                                {"low rank bytes", peak_bytes(*models[low_rank], rows)},
                                {"linformer bytes", peak_bytes(*models[linformer], rows)}});
  }
  // Multiply-adds a token: a + b T of low rank, constant of Linformer.
  const double at_zero = models[low_rank]->flops_per_token(0);
  const double slope = models[low_rank]->flops_per_token(1) - at_zero;
  found["crossing by count"] = (models[linformer]->flops_per_token(0) - at_zero) / slope;
  found["weights"] =
      static_cast<double>(models[low_rank]->bytes()) / static_cast<double>(models[full]->bytes());
  found["tokens"] = tokens;
  const auto rows = random_rows(ctx, 2 * shortest, tokens);
  const auto training = shortest_seconds({[&] { forward_and_backward(*models[full], rows); },
                                          [&] { forward_and_backward(*models[low_rank], rows); }},
                                         rounds);
  found["training full"] = training[full], found["training low rank"] = training[low_rank];
  return found;
}

// One mixer of width 64 (one head): its own cost outweighs its maps.
std::shared_ptr<Model> mixer(const Json& part) {
  Spec spec;
  spec.model = PartSpec("part");
  spec.model.options = {{"kind", "mixers"}, {"part", part}, {"width", 64}};
  return build_model(spec, 0);
}

// Growth of the time of attention and Linformer when a row doubles, from a quarter of 4,096 tokens on.
Json doublings(const StudyContext& ctx, int64_t rounds) {
  const int64_t longest = ctx.scaled(kCostTokens, kCostShort);
  const auto attention = mixer({{"type", "attention"}, {"heads", 1}});
  const auto projected = mixer({{"type", "linformer"}, {"heads", 1}, {"k", kCostRows}, {"tokens", longest}});
  std::vector<Record> rows;
  for (const int64_t length : {longest / 4, longest / 2, longest}) {
    auto stream = make_stream(ctx.seed(), "greenformers.mixer", static_cast<uint64_t>(length));
    rows.push_back({{"x", at::empty({1, length, 64}).normal_(0, 1, stream)}});
  }
  std::vector<Work> works;
  for (const auto& model : {attention, projected})
    for (const auto& row : rows) works.emplace_back([&row, model] { forward(*model, row); });
  const auto t = shortest_seconds(works, rounds);
  return {{"attention", std::min(t[1] / t[0], t[2] / t[1])},
          {"linformer", std::max(t[4] / t[3], t[5] / t[4])}};
}

}  // namespace

double crossing(const std::vector<double>& lengths, const std::vector<double>& a,
                const std::vector<double>& b) {
  for (size_t i = 0; i + 1 < lengths.size(); ++i) {
    const double before = std::log(a[i] / b[i]), after = std::log(a[i + 1] / b[i + 1]);
    if (before <= 0 && after > 0)
      return lengths[i] * std::pow(lengths[i + 1] / lengths[i], before / (before - after));
  }
  return std::numeric_limits<double>::quiet_NaN();
}

std::vector<Claim> low_rank_cost_claims(StudyContext& ctx, int64_t rounds, const Emissions& emissions) {
  const Json settings = {{"rounds", rounds}};
  const auto found = ctx.stage("time encoders", settings, [&] { return encoders(ctx, rounds); });
  const auto growth = ctx.stage("time mixers", settings, [&] { return doublings(ctx, 3 * rounds); });
  const auto column = [&](const char* name) {
    std::vector<double> values;
    for (const auto& row : found.at("lengths")) values.push_back(number(row, name));
    return values;
  };
  const auto lengths = column("tokens"), thin = column("low rank"), projected = column("linformer");
  const auto thin_bytes = column("low rank bytes"), projected_bytes = column("linformer bytes");
  std::vector<Claim> claims = {
      at_least("time at 128 tokens, Linformer over low rank", "low rank is better up to 512 tokens",
               projected[1] / thin[1], 2),
      at_least("time at 4096 tokens, low rank over Linformer", "Linformer is better from 512 tokens",
               thin.back() / projected.back(), 1.5),
      between("tokens where low rank and Linformer take equally long", "512 at BERT's width",
              crossing(lengths, thin, projected), 512, 2048),
      reported("tokens where they take equally many multiply-adds", "not given",
               number(found, "crossing by count")),
      at_most("time of Linformer's mixer when a long row doubles", "linear", number(growth, "linformer"),
              2.3),
      at_least("time of attention when a long row doubles", "quadratic", number(growth, "attention"), 3.2),
      reported("memory at 128 tokens, Linformer over low rank", "low rank is better up to 512 tokens",
               projected_bytes[1] / thin_bytes[1]),
      reported("memory at 4096 tokens, low rank over Linformer", "Linformer is better from 512 tokens",
               thin_bytes.back() / projected_bytes.back()),
      reported("weights, low rank over full", "not given", number(found, "weights")),
      reported("share of the training time that low rank saves at 128 tokens",
               "above 0.3 of BERT's cost, estimated",
               1 - number(found, "training low rank") / number(found, "training full"))};
  if (emissions.watts > 0)
    for (const char* kind : {"full", "low rank"})
      claims.push_back(reported(
          fmt::format("CO2 of training on 10^9 tokens in rows of 128, {} (lb)", kind), "not given",
          emissions.pounds(number(found, fmt::format("training {}", kind)) * 1e9 / number(found, "tokens"))));
  return claims;
}

}  // namespace formwork
