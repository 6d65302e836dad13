#include "formwork/studies/recipes/transfer_runs.h"

#include "formwork/core/random.h"
#include "formwork/decode/decode_strategy.h"
#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/small_models.h"
#include "formwork/studies/recipes/timing.h"

namespace formwork {
namespace {

constexpr int64_t kTransferTokens = 32;  // made of each prompt

Spec rotary_spec(int64_t width, int64_t layers, int64_t vocab) {
  auto spec = small_spec("decoder", width, layers,
                         {{"type", "parallel"},
                          {"mixer", {{"type", "attention"}, {"heads", 4}, {"position", "rotary"}}},
                          {"channel", "mlp"}});
  spec.model.options["vocab"] = vocab;
  return spec;
}

std::vector<Continuation> decoded(Model& model, const DecodeRequest& request, const PartSpec& strategy) {
  return Registry<DecodeStrategy>::make(strategy)->decode(model, request);
}

PartSpec by_tree(const Json& tree) { return {"hidden_transfer", {{"tree", tree}}}; }

double same_share(const std::vector<Continuation>& a, const std::vector<Continuation>& b) {
  double same = 0;
  for (size_t i = 0; i < a.size(); ++i) same += a[i].tokens == b[i].tokens;
  return same / static_cast<double>(a.size());
}

}  // namespace

Json transfer_exactness(uint64_t seed, int64_t prompts) {
  constexpr int64_t kVocab = 31;
  auto spec = rotary_spec(64, 4, kVocab);
  const Json draft = {{"type", "transfer"}, {"count", kTransferDrafts}};
  spec.attach = {{"layers.1.both.stream", draft}};
  const auto model = build_model(spec, seed, at::kDouble);
  const at::NoGradGuard guard;
  // Far from uniform distributions and from the identity, so that drafts are now right, now wrong.
  for (auto& param : model->inventory().params) {
    auto stream = make_stream(seed, param.name + ".exactness");
    if (param.value.dim() == 2)
      param.value.mul_(4).add_(at::randn(param.value.sizes(), stream, at::kDouble), 0.1);
  }
  auto stream = make_stream(seed, "hidden_transfer.prompts");
  DecodeRequest request;
  request.prompt = at::randint(0, kVocab, {prompts, 8}, stream, at::kLong);
  request.tokens = kTransferTokens;
  const auto greedy = decoded(*model, request, "greedy");
  Json found = Json::object();
  for (const auto& [name, tree] : std::map<std::string, Json>{
           {"chain", "chain"}, {"3 x 3 x 3", {{"full", {3, 3, 3}}}}, {"63 paths", "medusa"}})
    found[name] = same_share(greedy, decoded(*model, request, by_tree(tree)));
  return found;
}

std::shared_ptr<Model> with_transfers(const std::shared_ptr<Model>& model, int64_t layer) {
  return transformed(model, "hidden_transfer", {{"k", kTransferDrafts}, {"layers", {layer}}}, {}).model;
}

Json passes_of(Model& model, const Tensor& prompts, int64_t batch, const Json& tree) {
  int64_t passes = 0, tokens = 0;
  double same = 0;
  for (int64_t first = 0; first < prompts.size(0); first += batch) {
    DecodeRequest request;
    request.prompt = prompts.narrow(0, first, std::min(batch, prompts.size(0) - first));
    request.tokens = kTransferTokens;
    const auto greedy = decoded(model, request, "greedy");
    request.on_pass = [&](int64_t, int64_t made) { ++passes, tokens += made; };
    const auto made = decoded(model, request, by_tree(tree));
    same += same_share(greedy, made) * static_cast<double>(made.size());
  }
  return {{"tokens a pass", static_cast<double>(tokens) / static_cast<double>(passes)},
          {"same", same / static_cast<double>(prompts.size(0))}};
}

Json transfer_seconds(uint64_t seed, int64_t rounds) {
  const at::NoGradGuard guard;
  constexpr int64_t kBlocks = 8, kBefore = 64, kPasses = 8;
  const auto base = build_model(rotary_spec(512, kBlocks, 256), seed);
  struct Pass {
    std::shared_ptr<Model> model;
    Record in;
    Context context;
    ModelState state;
  };
  std::vector<std::unique_ptr<Pass>> passes;
  std::vector<std::function<void()>> works;
  const auto add = [&](const std::shared_ptr<Model>& model, bool drafts) {
    auto pass = std::make_unique<Pass>();
    pass->model = model, pass->context = model->make_context();
    pass->in["input_ids"] = at::zeros({1, 1}, at::kLong);
    if (drafts) pass->in["anchors"] = at::zeros({1, 1}, at::kLong);
    StateOptions options;
    options.capacity = kBefore + 2 * kTransferDrafts;
    pass->state = model->make_state(pass->context, {}, options);
    model->append(pass->context, {{"input_ids", at::zeros({1, kBefore}, at::kLong)}}, pass->state);
    works.emplace_back([one = pass.get()] {
      for (int64_t i = 0; i < kPasses; ++i) {
        one->model->append(one->context, one->in, one->state);
        one->state.roll_back(1);
      }
    });
    passes.push_back(std::move(pass));
  };
  add(base, false);
  add(with_transfers(base, kBlocks / 2), true);
  add(with_transfers(base, 0), true);
  const auto seconds = shortest_seconds(works, rounds);
  return {{"alone", seconds[0] / kPasses}, {"half", seconds[1] / kPasses}, {"all", seconds[2] / kPasses}};
}

}  // namespace formwork
