// How good a model's drafts (tap/transfer.h) are: of each draft i and candidate c, the share of tokens n at
// which the c-th choice of draft i is what the model itself says with the true tokens up to n + i. Where
// drafts err independently, a path of candidates is accepted with the product of its shares; the tree of the
// likeliest paths is what the decode strategy 'hidden_transfer' takes as `tree` (Medusa, Cai et al., 2024,
// section 2.3.3).
#include "formwork/decode/draft_tree.h"
#include "formwork/explain/probe.h"
#include "formwork/tap/transfer.h"

namespace formwork {
namespace {

class DraftAccuracy final : public Probe {
 public:
  struct Options {
    int64_t candidates = 10, nodes = 63;
    void describe(Fields& f) {
      f.integer("candidates", candidates, "choices of each draft that are counted", 1, 1024);
      f.integer("nodes", nodes, "nodes of the tree below its root, at most", 1, 4096);
    }
  };
  explicit DraftAccuracy(const Options& options) : options_(options) {}
  Json run(Model& model, const std::vector<Record>& batches) const override;

 private:
  // Of each draft and candidate: how often it was right [k, candidates]; of each draft: of how many [k].
  struct Counts {
    Tensor right, all;
  };
  void count(Model& model, const Record& batch, Counts& counts) const;
  Options options_;
};

void DraftAccuracy::count(Model& model, const Record& batch, Counts& counts) const {
  auto in = batch;
  const int64_t k = counts.all.size(0), tokens = in.at("input_ids").size(1), anchors = tokens - k;
  if (anchors < 1) fail("draft_accuracy: rows of {} tokens hold none that {} drafts follow", tokens, k);
  in["anchors"] = at::arange(anchors, at::kLong).unsqueeze(0);
  auto ctx = model.make_context();
  const auto logits = model.forward(ctx, in).at("logits");
  const int64_t candidates = counts.right.size(1);
  if (candidates > logits.size(2))
    fail("draft_accuracy: expected at most the {} tokens of the vocabulary as candidates, found {}",
         logits.size(2), candidates);
  const auto said = logits.narrow(1, 0, tokens).argmax(-1);
  const auto mask = in.find("attention_mask");
  const auto real = mask == in.end() ? at::ones_like(said) : mask->second;
  for (int64_t i = 1; i <= k; ++i) {
    const auto choices =
        std::get<1>(logits.narrow(1, tokens + (i - 1) * anchors, anchors).topk(candidates, -1));
    const auto there = real.narrow(1, i, anchors).ne(0);
    const auto right = choices.eq(said.narrow(1, i, anchors).unsqueeze(-1)).logical_and(there.unsqueeze(-1));
    counts.right[i - 1] += right.sum(at::IntArrayRef{0, 1});
    counts.all[i - 1] += there.sum();
  }
}

Json DraftAccuracy::run(Model& model, const std::vector<Record>& batches) const {
  const at::NoGradGuard guard;
  const int64_t k = drafts_of(model.inventory());
  if (k == 0)
    fail("draft_accuracy: the model has no transfer maps, which the transform 'hidden_transfer' adds");
  Counts counts{at::zeros({k, options_.candidates}, at::kLong), at::zeros({k}, at::kLong)};
  for (const auto& batch : batches) count(model, batch, counts);
  std::vector<std::vector<double>> accuracies;
  Json drafts = Json::array();
  int64_t possible = 0, level = 1;
  for (int64_t i = 0; i < k; ++i) {
    const auto shares = (counts.right[i].to(at::kDouble) / counts.all[i].to(at::kDouble)).contiguous();
    accuracies.emplace_back(shares.const_data_ptr<double>(),
                            shares.const_data_ptr<double>() + shares.numel());
    drafts.push_back(
        {{"draft", i + 1}, {"tokens", counts.all[i].item<int64_t>()}, {"shares", accuracies.back()}});
    level = std::min<int64_t>(level * options_.candidates, options_.nodes), possible += level;
  }
  const auto tree = DraftTree::likeliest(accuracies, std::min(options_.nodes, possible));
  Json paths = Json::array();
  double expected = 1;
  for (int64_t node = 1; node < tree.size(); ++node) {
    const auto path = tree.path_of(node);
    double share = 1;
    for (size_t depth = 0; depth < path.size(); ++depth)
      share *= accuracies[depth][static_cast<size_t>(path[depth])];
    expected += share;
    paths.push_back(path);
  }
  return {{"drafts", drafts}, {"tree", paths}, {"expected tokens a pass", expected}};
}

FORMWORK_PART(Probe, DraftAccuracy, "draft_accuracy",
              "how often each candidate of a model's drafts is right, and the tree that follows");

}  // namespace
}  // namespace formwork
