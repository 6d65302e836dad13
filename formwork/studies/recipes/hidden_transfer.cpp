// Hidden Transfer (2024): drafts that enter a middle block are better than those read off the last one by as
// many parameters, or off the embedding; decoding by trees of them changes no token.
#include "formwork/transforms/adapt/hidden_transfer.h"

#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/small_models.h"
#include "formwork/studies/recipes/transfer_runs.h"

namespace formwork {
namespace {

constexpr int64_t kTransferBlocks = 6;

class HiddenTransferStudy final : public Study {
 public:
  struct Options {
    int64_t steps = 700, prompts = 256, rounds = 15;
    std::string order = "joint";
    void describe(Fields& f) {
      f.integer("steps", steps, "updates of the maps after each block", 1, 1000000);
      f.integer("prompts", prompts, "prompts that are decoded with the maps of each block", 1, 100000);
      f.integer("rounds", rounds, "runs of each timing, of which the shortest counts", 1, 1000);
      f.choice("order", order, {"joint", "sequential"}, "maps trained at once, or one after the other");
    }
  };
  explicit HiddenTransferStudy(const Options& options) : options_(options) {}
  std::vector<Claim> run(StudyContext& ctx) override;

 private:
  Trained base(StudyContext& ctx) const;
  Json after_block(StudyContext& ctx, const Trained& base, int64_t block) const;
  std::vector<Json> after_all_blocks(StudyContext& ctx, const Trained& base) const;
  void add_exactness(StudyContext& ctx, std::vector<Claim>& claims) const;
  void add_costs(StudyContext& ctx, std::vector<Claim>& claims) const;
  Options options_;
};

Trained HiddenTransferStudy::base(StudyContext& ctx) const {
  const Json layer = {{"type", "parallel"},
                      {"mixer", {{"type", "attention"}, {"heads", 4}, {"position", "rotary"}}},
                      {"channel", "mlp"}};
  TrainOptions options;
  options.steps = ctx.scaled(650), options.batch = 32, options.rate = 3e-3;
  options.schedule = PartSpec("cosine", {{"floor", 0}});
  return ctx.trained("parallel-decoder", small_spec("decoder", 96, kTransferBlocks, layer),
                     shakespeare(ctx, 64), options);
}

Tensor validation_prompts(const Task& task, int64_t count) {
  constexpr int64_t kTokens = 32;
  return task.evaluation_batch(count, 0).inputs.at("input_ids").narrow(1, 0, kTokens).contiguous();
}

// What maps after this block learn, and how many tokens a pass they give: chains in batches of 16; of one
// block also chains in batches of 1 and 4, and the tree of 63 paths.
Json HiddenTransferStudy::after_block(StudyContext& ctx, const Trained& base, int64_t block) const {
  TrainOptions options;
  options.steps = ctx.scaled(options_.steps), options.batch = 8, options.rate = 3e-3;
  options.schedule = PartSpec("linear", {{"floor", 0}}), options.seed = ctx.options().seed,
  options.quiet = ctx.options().quiet;
  options.evaluate_batch = 32;
  const auto made = train_transfers(with_transfers(base.model, block), shakespeare(ctx, 64).options, options,
                                    options_.order);
  const auto prompts = validation_prompts(*base.task, ctx.scaled(options_.prompts, 4));
  Json found = {{"evaluation", made.evaluation.to_json()},
                {"chain 16", passes_of(*made.model, prompts, 16, "chain")}};
  if (block != kTransferBlocks / 2) return found;
  const auto few = prompts.narrow(0, 0, std::min<int64_t>(64, prompts.size(0)));
  found["chain 1"] = passes_of(*made.model, few, 1, "chain");
  found["chain 4"] = passes_of(*made.model, few, 4, "chain");
  found["63 paths"] = passes_of(*made.model, few, 16, "medusa");
  return found;
}

std::vector<Json> HiddenTransferStudy::after_all_blocks(StudyContext& ctx, const Trained& base) const {
  std::vector<Json> found;
  for (int64_t block = 0; block <= kTransferBlocks; ++block)
    found.push_back(ctx.stage(fmt::format("drafts after block {}", block),
                              {{"base", base.key}, {"block", block}, {"options", options_json(options_)}},
                              [&] { return after_block(ctx, base, block); }));
  return found;
}

void HiddenTransferStudy::add_exactness(StudyContext& ctx, std::vector<Claim>& claims) const {
  const int64_t prompts = ctx.scaled(50, 2);
  const auto found = ctx.stage("compare with greedy", {{"prompts", prompts}},
                               [&] { return transfer_exactness(ctx.seed(), prompts); });
  for (const char* tree : {"chain", "3 x 3 x 3", "63 paths"})
    claims.push_back(at_least(fmt::format("share of prompts with the tokens of greedy decoding, {}", tree),
                              "1: lossless", number(found, tree), 1));
}

void HiddenTransferStudy::add_costs(StudyContext& ctx, std::vector<Claim>& claims) const {
  const auto found = ctx.stage("time passes", {{"rounds", options_.rounds}},
                               [&] { return transfer_seconds(ctx.seed(), options_.rounds); });
  const auto ratio = [&](const char* name) { return number(found, name) / number(found, "alone"); };
  claims.push_back(at_most("time of a pass with 3 drafts from half the blocks on over one without, width 512",
                           "not given: bound by memory", ratio("half"), 1.25));
  claims.push_back(reported("the same with drafts from the embedding on", "not given", ratio("all")));
}

std::vector<Claim> HiddenTransferStudy::run(StudyContext& ctx) {
  std::vector<Claim> claims;
  add_exactness(ctx, claims);
  const auto found = after_all_blocks(ctx, base(ctx));
  const auto of = [&](int64_t block, const char* name) {
    return number(found[static_cast<size_t>(block)].at("evaluation"), name);
  };
  int64_t best = 0;
  for (int64_t block = 1; block <= kTransferBlocks; ++block)
    if (of(block, "cross_entropy") < of(best, "cross_entropy")) best = block;
  claims.push_back(between("block after which drafts have the lowest cross entropy, of 6", "a middle one",
                           static_cast<double>(best), 1, kTransferBlocks - 1));
  claims.push_back(at_least("cross entropy after the last block (linear Medusa heads) less the best, nats",
                            "lower than Medusa's",
                            of(kTransferBlocks, "cross_entropy") - of(best, "cross_entropy"), 0.03));
  claims.push_back(at_least("cross entropy of drafts from the embedding less the best, nats", "not given",
                            of(0, "cross_entropy") - of(best, "cross_entropy"), 0.1));
  claims.push_back(at_least("accuracy of the first draft, the best block less the last",
                            "higher than Medusa's",
                            of(best, "accuracy_1") - of(kTransferBlocks, "accuracy_1"), 0.005));
  for (int64_t block = 0; block <= kTransferBlocks; ++block) {
    const auto& one = found[static_cast<size_t>(block)];
    const auto row = [&](const char* what, const char* name) {
      claims.push_back(reported(fmt::format("{}, block {}", what, block), "not given", of(block, name)));
    };
    row("cross entropy of drafts", "cross_entropy");
    for (const char* draft : {"accuracy_1", "accuracy_2", "accuracy_3"}) row(draft, draft);
    claims.push_back(reported(fmt::format("tokens a pass, chain, block {}", block),
                              "1.9 to 3 times faster (FIRP)", number(one.at("chain 16"), "tokens a pass")));
  }
  const auto& middle = found[kTransferBlocks / 2];
  for (const auto& [what, name] : {std::pair{"chain, batches of 1", "chain 1"},
                                   {"chain, batches of 4", "chain 4"},
                                   {"tree of 63 paths", "63 paths"}}) {
    claims.push_back(reported(fmt::format("tokens a pass, {}, block 3", what), "not given",
                              number(middle.at(name), "tokens a pass")));
    claims.push_back(reported(fmt::format("share of prompts with greedy's tokens in float32, {}", what), "1",
                              number(middle.at(name), "same")));
  }
  add_costs(ctx, claims);
  return claims;
}

FORMWORK_PART(Study, HiddenTransferStudy, "hidden_transfer",
              "drafts of the next tokens from each block, and decoding by trees of them");

}  // namespace
}  // namespace formwork
