#include "formwork/studies/recipes/cdt_induction.h"

#include <set>

#include "formwork/core/random.h"
#include "formwork/explain/circuits/circuit_search.h"
#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/small_models.h"
#include "formwork/studies/recipes/timing.h"

namespace formwork {
namespace {

constexpr int64_t kLength = 13, kSymbols = 20, kFifth = 4, kAfter = 5, kLast = kLength - 1, kFoil = 2;

Trained induction_model(StudyContext& ctx, int64_t steps) {
  auto spec =
      small_spec("decoder", 64, 2,
                 {{"norm", "layer_norm"},
                  {"mixer", {{"type", "attention"}, {"heads", 4}, {"bias", true}, {"out_bias", true}}},
                  {"channel", {{"type", "mlp"}, {"hidden", 256}}}});
  auto& model = spec.model.options;
  model["norm"] = "layer_norm", model["tie"] = false;
  // Symbols and positions of about the size of a head's output: with the usual small ones the heads take many
  // times as long to find each other.
  model["stem_scale"] = 20.0, model["position"] = {{"type", "learned"}, {"std", 0.4}};
  TrainOptions options;
  options.steps = ctx.scaled(steps), options.rate = 2e-3, options.batch = 64;
  return ctx.trained("induction", spec, PartSpec("successors"), options);
}

// Rows of different symbols; id 0 pads.
Tensor rows_of_different(StudyContext& ctx, const char* stream, int64_t rows) {
  auto generator = make_stream(ctx.seed(), stream);
  const auto order = at::rand({rows, kSymbols}, generator, at::kDouble).argsort(/*stable=*/true, 1, false);
  return order.narrow(1, 0, kLength).add(1).contiguous();
}

CircuitPrompts prompts_of(StudyContext& ctx, const InductionOptions& options) {
  auto rows = rows_of_different(ctx, "cdt.prompts", options.prompts);
  rows.select(1, kLast).copy_(rows.select(1, kFifth));
  return {{{"input_ids", rows}},
          rows.select(1, kAfter).clone(),
          rows.select(1, kFoil).clone(),
          {{"input_ids", rows_of_different(ctx, "cdt.reference", options.reference)}}};
}

CircuitOptions circuit_options(const InductionOptions& options, const char* repair) {
  CircuitOptions chosen;
  chosen.rules.attention = "split", chosen.rules.sign_repair = repair;
  chosen.reads = {{"z", "own", "dot"}, {"key", "attended", "l1"}, {"query", "own", "dot"}};
  chosen.keep_per_round = options.keep, chosen.prune = false;
  return chosen;
}

// Mean attention of a head from one place to another.
double paid(const CircuitFinder& finder, const Node& node, int64_t from, int64_t to) {
  const auto& weights = finder.prompts().layers[static_cast<size_t>(node.layer)].weights;
  return weights.select(1, node.head).select(1, from).select(1, to).mean().item<double>();
}

// The chance that a node of the first kind scores above one of the second.
double roc_auc(const std::vector<double>& scores, const std::vector<bool>& first) {
  double above = 0, pairs = 0;
  for (size_t i = 0; i < scores.size(); ++i)
    for (size_t j = 0; j < scores.size(); ++j)
      if (first[i] && !first[j])
        ++pairs, above += scores[i] > scores[j] ? 1 : scores[i] == scores[j] ? 0.5 : 0;
  return above / pairs;
}

// Nodes without which the logit difference moves by more than a tenth.
std::vector<bool> needed(CircuitFinder& finder) {
  const auto all = finder.scores().all();
  std::vector<std::vector<Node>> circuits{all};
  for (const auto& node : all) {
    circuits.push_back(all);
    circuits.back().erase(std::find(circuits.back().begin(), circuits.back().end(), node));
  }
  const auto values = finder.metric(circuits);
  std::vector<bool> needed;
  for (size_t i = 1; i < values.size(); ++i)
    needed.push_back(std::abs(values[0] - values[i]) > 0.1 * std::abs(values[0]));
  return needed;
}

std::vector<double> values_of(const Tensor& x) {
  const auto wide = x.to(at::kDouble).contiguous();
  return {wide.const_data_ptr<double>(), wide.const_data_ptr<double>() + wide.numel()};
}

double auc(CircuitFinder& finder, const std::vector<bool>& needed) {
  return roc_auc(values_of(finder.logit_scores(finder.scores().all())), needed);
}

// The share of a round's nodes that are heads of a layer at a place.
double share_at(const Round& round, int64_t layer, int64_t position) {
  double found = 0;
  for (const auto& kept : round.kept) found += kept.node.layer == layer && kept.node.position == position;
  return found / static_cast<double>(round.kept.size());
}

// Faithfulness of random circuits.
std::vector<double> random_faithfulness(StudyContext& ctx, CircuitFinder& finder, size_t size,
                                        int64_t draws) {
  const auto all = finder.scores().all();
  auto generator = make_stream(ctx.seed(), "cdt.random circuits");
  std::vector<std::vector<Node>> circuits;
  for (int64_t i = 0; i < draws; ++i) {
    const auto order = at::randperm(static_cast<int64_t>(all.size()), generator, at::kLong);
    circuits.emplace_back();
    for (size_t j = 0; j < size; ++j)
      circuits.back().push_back(all[static_cast<size_t>(order[static_cast<int64_t>(j)].item<int64_t>())]);
  }
  return finder.faithfulness(circuits);
}

// Whether the first node that a search by keys keeps in round 2 is the head that looks one token back.
bool finds_previous_token_head(const CircuitFinder& finder, const Round& round) {
  if (round.kept.empty() || round.kept[0].node.layer != 0) return false;
  int64_t best = 0;
  for (int64_t head = 1; head < finder.sites()[0].heads(); ++head)
    if (paid(finder, {0, 0, head}, kAfter, kFifth) > paid(finder, {0, 0, best}, kAfter, kFifth)) best = head;
  return round.kept[0].node == Node{0, kAfter, best};
}

Json found_circuit(StudyContext& ctx, Model& model, const InductionOptions& options) {
  const auto prompts = prompts_of(ctx, options);
  CircuitFinder finder(model, prompts, circuit_options(options, "mlp"));
  CircuitFinder bare(model, prompts, circuit_options(options, "none"));
  const auto rounds = finder.search();
  double least = 1;
  for (const auto& kept : rounds[0].kept) least = std::min(least, paid(finder, kept.node, kLast, kAfter));
  Json found = {{"logit round", share_at(rounds[0], 1, kLast)},
                {"induction attention", least},
                {"z", 0.0},
                {"key", 0.0},
                {"previous token", false}};
  std::set<std::string> seen;
  for (const auto& round : rounds)
    if (!round.targets.empty() && seen.insert(round.place).second) {
      found[round.place] = share_at(round, 0, kAfter);
      if (round.place == "key") found["previous token"] = finds_previous_token_head(finder, round);
    }
  const auto truth = needed(finder);
  found["auc"] = auc(finder, truth), found["auc without repair"] = auc(bare, truth);
  const auto circuit = union_of(rounds);
  std::vector<Round> by_result;
  for (const auto& round : rounds)
    if (round.place == "logits" || round.place == "z") by_result.push_back(round);
  const auto faithful = finder.faithfulness({circuit, union_of(by_result)});
  found["nodes"] = circuit.size(), found["faithfulness"] = faithful[0], found["by z alone"] = faithful[1];
  // A few hold the previous-token head and an induction head, which is half of the circuit.
  const auto random = random_faithfulness(ctx, finder, circuit.size(), options.draws);
  const auto small = std::count_if(random.begin(), random.end(), [](double value) { return value <= 0.3; });
  found["random small"] = static_cast<double>(small) / static_cast<double>(random.size());
  found["random most"] = *std::max_element(random.begin(), random.end());
  return found;
}

// How much longer N * M patched passes take than N passes of splits that read M targets.
Json cost(StudyContext& ctx, Model& model, const InductionOptions& options) {
  constexpr size_t kTargets = 32;
  InductionOptions one = options;
  one.prompts = 1;
  CircuitFinder finder(model, prompts_of(ctx, one), circuit_options(one, "mlp"));
  const auto all = finder.scores().all();
  std::vector<Node> targets;
  for (const auto& node : all)
    if (node.layer == 1 && targets.size() < kTargets) targets.push_back(node);
  std::vector<std::vector<Node>> patched;
  for (size_t i = 0; i < all.size() * kTargets; ++i) patched.push_back(all);
  const auto seconds = shortest_seconds(
      {[&] { finder.scores().at_targets(all, targets, {}); }, [&] { finder.metric(patched); }}, 3);
  return {{"ratio", seconds[1] / seconds[0]},
          {"single", seconds[1] / seconds[0] / static_cast<double>(kTargets)}};
}

}  // namespace

std::vector<Claim> cdt_induction_claims(StudyContext& ctx, const InductionOptions& options) {
  const auto trained = induction_model(ctx, options.steps);
  const Json settings = {{"model", trained.key}, {"options", options_json(options)}};
  const auto found =
      ctx.stage("circuit", settings, [&] { return found_circuit(ctx, *trained.model, options); });
  const auto speed = ctx.stage("cost", settings, [&] { return cost(ctx, *trained.model, options); });
  const double accuracy = number(
      ctx.stage("accuracy", settings,
                [&] {
                  return Json{{"accuracy", evaluated(ctx, *trained.model, *trained.task, 512, "accuracy")}};
                }),
      "accuracy");
  return {at_least("accuracy of the induction model", "needed", accuracy, 0.99),
          at_least("top nodes for the logits that are heads of the last layer at the last token", "all",
                   number(found, "logit round"), 1),
          at_least("least attention of these to what followed the symbol before", "not given",
                   number(found, "induction attention"), 0.9),
          at_least("round 2 by z: nodes of layer 0 where the symbol's successor stood", "not given",
                   number(found, "z"), 1),
          at_least("round 2 by keys: the same", "not given", number(found, "key"), 1),
          at_least("round 2 by keys: the previous-token head comes first", "not given",
                   found["previous token"].get<bool>() ? 1 : 0, 1),
          at_least("ROC AUC of the scores for nodes that move the logits by a tenth",
                   "0.97 mean of three tasks", number(found, "auc"), 0.9),
          reported("the same without sign repair", "not given", number(found, "auc without repair")),
          at_least("faithfulness of the circuit by z, key and query", "not given",
                   number(found, "faithfulness"), 0.8),
          reported("its nodes", "not given", number(found, "nodes")),
          at_least("share of random circuits of that size that are at most 0.3 faithful", "not given",
                   number(found, "random small"), 0.9),
          reported("most faithful of them", "not given", number(found, "random most")),
          reported("faithfulness of the circuit by z alone", "not given", number(found, "by z alone")),
          at_least("time of patched passes for 32 targets over that of passes of splits",
                   "2, against path patching", number(speed, "ratio"), 2),
          reported("the same for one target", "not given", number(speed, "single"))};
}

}  // namespace formwork
