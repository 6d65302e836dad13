#include "formwork/explain/circuits/circuit_search.h"

#include <numeric>

namespace formwork {

CircuitFinder::CircuitFinder(Model& model, const CircuitPrompts& prompts, CircuitOptions options)
    : model_(model),
      options_(std::move(options)),
      sites_(head_sites(model)),
      prompts_(record_heads(model, sites_, prompts.rows)),
      answers_(prompts.answers),
      foils_(prompts.foils) {
  check_answers(answers_, foils_);
  if (!prompts.reference.empty()) means_ = head_means(record_heads(model, sites_, prompts.reference));
  scores_ = std::make_unique<NodeScores>(model, sites_, prompts_, means_, options_.rules, options_.sources);
}

void CircuitFinder::check_answers(const Tensor& answers, const Tensor& foils) const {
  const int64_t rows = prompts_.rows(), classes = prompts_.logits.size(-1);
  for (const auto& [name, ids] : {std::pair("answer", answers), std::pair("foil", foils)}) {
    if (ids.dim() != 1 || ids.size(0) != rows)
      fail("circuit: expected one {} for each of {} prompts, found {}", name, rows, ids.numel());
    const auto low = ids.min().item<int64_t>(), high = ids.max().item<int64_t>();
    if (low < 0 || high >= classes)
      fail("circuit: expected {}s from 0 to {}, found {}", name, classes - 1, low < 0 ? low : high);
  }
  const auto same = answers.eq(foils).nonzero();
  if (same.numel())
    fail("circuit: expected an answer and a foil that differ, found {} for both in prompt {}",
         answers[same[0].item<int64_t>()].item<int64_t>(), same[0].item<int64_t>());
}

Tensor CircuitFinder::difference(const Tensor& logits) const {
  const auto of = [&](const Tensor& ids) {
    auto sizes = logits.sizes().vec();
    sizes.back() = 1;
    return logits.gather(-1, ids.unsqueeze(-1).expand(sizes)).squeeze(-1);
  };
  return (of(answers_) - of(foils_)).mean(-1);
}

Tensor CircuitFinder::logit_scores(const std::vector<Node>& nodes) {
  return difference(scores_->logits(nodes).relevant);
}

namespace {

// The k of highest score among those that `allowed` takes; from nodes of score 0 nothing leads to the target.
template <class Allowed>
std::vector<Kept> highest(const std::vector<Node>& nodes, const Tensor& scores, int64_t k,
                          const Allowed& allowed) {
  const auto wide = scores.to(at::kDouble).contiguous();
  const double* score = wide.const_data_ptr<double>();
  std::vector<size_t> order;
  for (size_t i = 0; i < nodes.size(); ++i)
    if (allowed(nodes[i]) && score[i] != 0) order.push_back(i);
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return score[a] > score[b]; });
  std::vector<Kept> kept;
  for (size_t i = 0; i < std::min(order.size(), static_cast<size_t>(k)); ++i)
    kept.push_back({nodes[order[i]], score[order[i]], {}});
  return kept;
}

std::vector<Node> nodes_of(const Round& round) {
  std::vector<Node> nodes;
  for (const auto& kept : round.kept) nodes.push_back(kept.node);
  return nodes;
}

int64_t latest_layer(const std::vector<Node>& nodes) {
  return nodes.empty() ? 0 : std::max_element(nodes.begin(), nodes.end())->layer;
}

}  // namespace

Round CircuitFinder::from_logits() {
  const auto nodes = scores_->all();
  return {"logits", {}, highest(nodes, logit_scores(nodes), options_.keep_per_round, [](const Node&) {
            return true;
          })};
}

Round CircuitFinder::from_targets(const std::vector<Node>& targets, const TargetRead& read) {
  const auto nodes = scores_->all();
  // A target in layer 0 has no source before it.
  std::vector<Node> later;
  for (const auto& target : targets)
    if (target.layer > 0) later.push_back(target);
  const auto each = scores_->at_targets(nodes, later, read);
  const auto shares = share_of_layer(each.sum(1), nodes, options_.layer_sum);
  const auto before = [latest = latest_layer(later)](const Node& node) { return node.layer < latest; };
  Round round{read.place, later, highest(nodes, shares, options_.keep_per_round, before)};
  for (auto& kept : round.kept) {
    const auto at = std::find(nodes.begin(), nodes.end(), kept.node) - nodes.begin();
    for (int64_t m = 0; m < each.size(1); ++m) kept.at_targets.push_back(each[at][m].item<double>());
  }
  return round;
}

std::vector<Round> CircuitFinder::search() {
  std::vector<Round> rounds{from_logits()};
  for (const auto& read : options_.reads)
    for (auto targets = nodes_of(rounds[0]); latest_layer(targets) > 0; targets = nodes_of(rounds.back()))
      rounds.push_back(from_targets(targets, read));
  return rounds;
}

std::vector<double> CircuitFinder::metric(const std::vector<std::vector<Node>>& circuits) {
  if (means_.empty()) fail("circuit: leaving heads out expects means of a reference set, found none");
  int64_t heads = 0;
  for (const auto& site : sites_) heads = std::max(heads, site.heads());
  const auto count = static_cast<int64_t>(circuits.size()), layers = static_cast<int64_t>(sites_.size());
  auto keep = at::zeros({count, layers, prompts_.tokens(), heads}, at::kBool);
  auto marks = keep.accessor<bool, 4>();
  for (size_t c = 0; c < circuits.size(); ++c)
    for (const auto& node : circuits[c]) {
      scores_->check(node, "circuit node");
      marks[static_cast<int64_t>(c)][node.layer][node.position][node.head] = true;
    }
  constexpr int64_t kRows = 1024;
  const auto logits =
      ablated_logits(model_, sites_, prompts_, means_, keep, std::max<int64_t>(1, kRows / prompts_.rows()));
  const auto found =
      difference(logits.dim() == 4 ? logits.select(2, -1) : logits).to(at::kDouble).contiguous();
  return {found.const_data_ptr<double>(), found.const_data_ptr<double>() + found.numel()};
}

std::vector<double> CircuitFinder::faithfulness(const std::vector<std::vector<Node>>& circuits) {
  if (ends_.empty()) ends_ = metric({{}, scores_->all()});
  auto values = metric(circuits);
  for (auto& value : values) value = (value - ends_[0]) / (ends_[1] - ends_[0]);
  return values;
}

std::vector<Node> CircuitFinder::pruned(std::vector<Node> circuit, std::vector<Node>& left_out) {
  double best = faithfulness({circuit})[0];
  while (!circuit.empty()) {
    std::vector<std::vector<Node>> without(circuit.size(), circuit);
    for (size_t i = 0; i < circuit.size(); ++i)
      without[i].erase(without[i].begin() + static_cast<int64_t>(i));
    const auto values = faithfulness(without);
    const auto at = std::max_element(values.begin(), values.end());
    if (!(*at > best)) break;
    best = *at;
    left_out.push_back(circuit[static_cast<size_t>(at - values.begin())]);
    circuit = without[static_cast<size_t>(at - values.begin())];
  }
  return circuit;
}

std::vector<Node> union_of(const std::vector<Round>& rounds) {
  std::vector<Node> nodes;
  for (const auto& round : rounds)
    for (const auto& kept : round.kept)
      if (std::find(nodes.begin(), nodes.end(), kept.node) == nodes.end()) nodes.push_back(kept.node);
  return nodes;
}

}  // namespace formwork
