// Decoding with the drafts of a model's transfer maps (tap/transfer.h): each pass verifies a tree of drafts,
// and its nodes carry the drafts of the pass after it, so that wherever the accepted path ends, those that
// follow are ready. Depth d of the tree takes the most probable tokens of draft d of the last accepted node.
// Source: Parallel Decoding via Hidden Transfer for Lossless Large Language Model Acceleration (2024).
#include "formwork/decode/tree_decoding.h"
#include "formwork/tap/transfer.h"

namespace formwork {
namespace {

class TransferDrafter final : public Drafter {
 public:
  // k drafts of each node, of at most so many rows of a pass together with the nodes.
  TransferDrafter(DraftTree tree, int64_t k, int64_t most_rows)
      : tree_(std::move(tree)), root_(DraftTree::root_alone()), k_(k), most_rows_(most_rows) {
    for (int64_t depth = 1; depth <= tree_.depth(); ++depth) width_ = std::max(width_, tree_.width(depth));
  }

  Proposal propose(const Tensor& roots) override {
    if (!ready_.defined() || !ready_.any().item<bool>()) return {root_, roots.unsqueeze(1)};
    const auto drafts = candidates_.masked_fill(ready_.logical_not().view({-1, 1, 1}), -1).flatten(1);
    const auto slots = at::tensor(tree_.slots(width_), at::kLong);
    return {tree_, at::cat({roots.unsqueeze(1), drafts}, 1).index_select(1, slots)};
  }

  void prepare(Context& ctx, Record& in, int64_t nodes) override {
    if (tree_.depth() == 0) return;
    carrying_ = std::clamp<int64_t>((most_rows_ - nodes) / k_, 1, nodes);
    in["anchors"] = at::arange(carrying_, at::kLong).unsqueeze(0);
    ctx.choices["drafts"] = k_;
  }

  void see(const Record& out, int64_t nodes, const std::vector<std::vector<int64_t>>& paths) override {
    if (tree_.depth() == 0) return;
    const auto& logits = out.at("logits");
    if (width_ > logits.size(2))
      fail("hidden_transfer: the tree takes {} candidates of a vocabulary of {}", width_, logits.size(2));
    std::vector<int64_t> last;
    for (const auto& path : paths) last.push_back(path.back());
    const auto ends = at::tensor(last, at::kLong);
    ready_ = ends.lt(carrying_);
    const auto rows = nodes + at::arange(k_, at::kLong).unsqueeze(0) * carrying_ +
                      ends.clamp_max(carrying_ - 1).unsqueeze(1);  // [B, k]
    const auto drafts = logits.gather(1, rows.unsqueeze(-1).expand({-1, -1, logits.size(2)}));
    candidates_ = std::get<1>(drafts.topk(width_, -1));
  }

  void select(const Tensor& rows) override {
    if (!ready_.defined()) return;
    ready_ = ready_.index_select(0, rows), candidates_ = candidates_.index_select(0, rows);
  }

 private:
  DraftTree tree_, root_;
  int64_t k_, most_rows_, width_ = 0, carrying_ = 0;
  Tensor ready_, candidates_;  // [B] bool, [B, k, width]: of each row's last node, where it carried drafts
};

class HiddenTransferDecode final : public DecodeStrategy {
 public:
  struct Options {
    int64_t k = -1, rows = 256;
    Json tree = "medusa";
    std::string acceptance = "greedy";
    double temperature = 0, threshold = 0.09, alpha = 0.3;
    void describe(Fields& f) {
      f.integer("k", k, "drafts that are used; -1: all that the model gives, 0: none", -1, 1024);
      f.json("tree", tree,
             "\"medusa\" (cut at k), \"chain\", {\"full\": [3, 3, 3]} or paths such as [[0], [0, 1]]");
      f.choice("acceptance", acceptance, {"greedy", "rejection", "typical"},
               "greedy and rejection change no token of 'greedy' and 'sample'; typical does");
      f.number("temperature", temperature, "of rejection and typical acceptance, which need one", 0, 1e3);
      f.number("threshold", threshold, "typical: the greatest probability that a draft may need", 0, 1);
      f.number("alpha", alpha, "typical: and its factor on exp(-entropy)", 0, 1);
      f.integer("rows", rows, "tokens and drafts of a pass; nodes beyond carry no drafts", 1, 1 << 20);
    }
  };
  explicit HiddenTransferDecode(const Options& options) : options_(options) {
    const bool greedy = options.acceptance == "greedy";
    if (greedy && options.temperature > 0)
      fail(
          "decode strategy 'hidden_transfer': greedy acceptance draws nothing, so temperature {} has no "
          "effect; "
          "expected 0, or acceptance 'rejection' or 'typical'",
          options.temperature);
    if (!greedy && options.temperature < 1e-3)
      fail(
          "decode strategy 'hidden_transfer': acceptance '{}' expects a temperature of at least 0.001, found "
          "{}",
          options.acceptance, options.temperature);
  }
  bool draws() const override { return options_.acceptance != "greedy"; }
  std::vector<Continuation> decode(Model& model, const DecodeRequest& request) const override;

 private:
  std::unique_ptr<Acceptance> acceptance() const;
  Options options_;
};

std::unique_ptr<Acceptance> HiddenTransferDecode::acceptance() const {
  if (options_.acceptance == "greedy") return exact_acceptance("greedy");
  const PartSpec sample("sample", {{"temperature", options_.temperature}});
  if (options_.acceptance == "rejection") return exact_acceptance(sample);
  return typical_acceptance(sample, options_.temperature, options_.threshold, options_.alpha);
}

std::vector<Continuation> HiddenTransferDecode::decode(Model& model, const DecodeRequest& request) const {
  const int64_t given = drafts_of(model.inventory());
  if (given == 0 && options_.k != 0)
    fail(
        "decode strategy 'hidden_transfer': the model has no transfer maps; the transform 'hidden_transfer' "
        "adds "
        "them, and the task 'draft_text' trains them");
  if (options_.k > given)
    fail(
        "decode strategy 'hidden_transfer': expected k of at most the {} drafts that the model gives, found "
        "{}",
        given, options_.k);
  const int64_t k = options_.k < 0 ? given : options_.k;
  TransferDrafter drafter(k == 0 ? DraftTree::root_alone() : DraftTree::from_json(options_.tree, k), k,
                          options_.rows);
  return decode_by_trees(model, request, drafter, *acceptance());
}

FORMWORK_PART(DecodeStrategy, HiddenTransferDecode, "hidden_transfer",
              "trees of drafts from a middle layer: the tokens of greedy decoding in fewer passes");

}  // namespace
}  // namespace formwork
