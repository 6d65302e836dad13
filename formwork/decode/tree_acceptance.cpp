#include "formwork/decode/tree_decoding.h"

namespace formwork {
namespace {

// A strategy that chooses token by token, asked for one node of one row.
class NodeChooser {
 public:
  explicit NodeChooser(const PartSpec& spec)
      : made_(Registry<DecodeStrategy>::make(spec)),
        strategy_(dynamic_cast<const TokenByToken*>(made_.get())) {
    if (!strategy_)
      fail("draft tree: expected a strategy that chooses token by token, such as 'greedy', found '{}'",
           spec.type);
  }
  // The token after a node, the `made`th of this pass; it is written.
  int64_t choose(const Acceptance::Verdict& verdict, int64_t node, size_t made) const {
    const auto logits = verdict.logits[node].unsqueeze(0);
    const auto token =
        strategy_->choose({logits, {verdict.row}, verdict.written, verdict.seed, verdict.index + made})
            .item<int64_t>();
    verdict.written[static_cast<size_t>(verdict.row)].push_back(token);
    return token;
  }

 private:
  std::unique_ptr<DecodeStrategy> made_;
  const TokenByToken* strategy_;
};

class ExactAcceptance final : public Acceptance {
 public:
  explicit ExactAcceptance(const PartSpec& strategy) : chooser_(strategy) {}

  Accepted accept(const Verdict& verdict) const override {
    Accepted accepted;
    for (std::optional<int64_t> node = 0; node; node = child(verdict, *node, accepted.tokens.back())) {
      accepted.path.push_back(*node);
      accepted.tokens.push_back(chooser_.choose(verdict, *node, accepted.tokens.size()));
    }
    return accepted;
  }

 private:
  // The draft after a node that has this token.
  static std::optional<int64_t> child(const Verdict& verdict, int64_t node, int64_t token) {
    const auto& parents = verdict.tree.parents();
    for (size_t i = static_cast<size_t>(node) + 1; i < parents.size(); ++i)
      if (parents[i] == node && verdict.tokens[i] == token) return static_cast<int64_t>(i);
    return std::nullopt;
  }
  NodeChooser chooser_;
};

class TypicalAcceptance final : public Acceptance {
 public:
  TypicalAcceptance(const PartSpec& strategy, double temperature, double threshold, double alpha)
      : chooser_(strategy), temperature_(temperature), threshold_(threshold), alpha_(alpha) {}

  Accepted accept(const Verdict& verdict) const override {
    Accepted accepted;
    const auto& parents = verdict.tree.parents();
    for (int64_t node = deepest(verdict); node >= 0; node = parents[static_cast<size_t>(node)])
      accepted.path.insert(accepted.path.begin(), node);
    auto& written = verdict.written[static_cast<size_t>(verdict.row)];
    for (size_t i = 1; i < accepted.path.size(); ++i) {
      accepted.tokens.push_back(verdict.tokens[static_cast<size_t>(accepted.path[i])]);
      written.push_back(accepted.tokens.back());
    }
    accepted.tokens.push_back(chooser_.choose(verdict, accepted.path.back(), accepted.tokens.size()));
    return accepted;
  }

 private:
  // The end of the longest accepted path, of equals the most probable.
  int64_t deepest(const Verdict& verdict) const {
    const auto log_p = (verdict.logits.to(at::kDouble) / temperature_).log_softmax(-1);
    const auto entropy = (log_p.exp() * log_p).sum(-1).neg();
    const auto least = (entropy.neg().exp() * alpha_).clamp_max(threshold_);
    const auto& parents = verdict.tree.parents();
    const auto& depths = verdict.tree.depths();
    std::vector<double> scores(parents.size(), -INFINITY);
    scores[0] = 0;
    size_t best = 0;
    for (size_t i = 1; i < parents.size(); ++i) {
      const int64_t parent = parents[i], token = verdict.tokens[i];
      if (token < 0 || std::isinf(scores[static_cast<size_t>(parent)])) continue;
      const auto gained = log_p[parent][token].item<double>();
      if (std::exp(gained) <= least[parent].item<double>()) continue;
      scores[i] = scores[static_cast<size_t>(parent)] + gained;
      if (depths[i] > depths[best] || (depths[i] == depths[best] && scores[i] > scores[best])) best = i;
    }
    return static_cast<int64_t>(best);
  }
  NodeChooser chooser_;
  double temperature_, threshold_, alpha_;
};

}  // namespace

std::unique_ptr<Acceptance> exact_acceptance(const PartSpec& strategy) {
  return std::make_unique<ExactAcceptance>(strategy);
}

std::unique_ptr<Acceptance> typical_acceptance(const PartSpec& strategy, double temperature, double threshold,
                                               double alpha) {
  return std::make_unique<TypicalAcceptance>(strategy, temperature, threshold, alpha);
}

}  // namespace formwork
