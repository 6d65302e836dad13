#include "formwork/decode/tree_decoding.h"

#include <numeric>

namespace formwork {
namespace {

constexpr const char* kWhyTreesArePlain = "trees of drafts have no runtime form";

// The rows that go on, and what each has made.
class TreeRun {
 public:
  TreeRun(Model& model, const DecodeRequest& request, Drafter& drafter, const Acceptance& acceptance)
      : model_(model),
        request_(request),
        drafter_(drafter),
        acceptance_(acceptance),
        ctx_(model.make_context()),
        state_(model.make_state(ctx_, request.source, state_options(model, request))),
        written_(rows_of(request.prompt)),
        made_(written_.size()),
        rows_(written_.size()) {
    std::iota(rows_.begin(), rows_.end(), 0);
    const auto& prompt = request.prompt;
    const int64_t before = prompt.size(1) - 1;
    if (before > 0) model.append(ctx_, {{"input_ids", prompt.narrow(1, 0, before)}}, state_);
    roots_ = prompt.select(1, before);
  }

  std::vector<Continuation> run() {
    while (!rows_.empty()) pass();
    return std::move(made_);
  }

 private:
  void pass();
  // Enters what a row accepted -> whether it goes on.
  bool commit(int64_t row, const Tensor& logits, const Acceptance::Accepted& accepted);
  void keep(const std::vector<std::vector<int64_t>>& paths);

  Model& model_;
  const DecodeRequest& request_;
  Drafter& drafter_;
  const Acceptance& acceptance_;
  Context ctx_;
  ModelState state_;
  std::vector<std::vector<int64_t>> written_;
  std::vector<Continuation> made_;
  std::vector<int64_t> rows_;  // of the prompt, those that go on
  Tensor roots_;               // [rows] the last token of each, which the state does not have yet
};

void TreeRun::pass() {
  const auto proposal = drafter_.propose(roots_);
  const int64_t nodes = proposal.tree.size();
  Record in = {{"input_ids", proposal.tokens.clamp_min(0)}, {"parents", proposal.tree.parent_row()}};
  drafter_.prepare(ctx_, in, nodes);
  const auto out = model_.append(ctx_, in, state_);
  const auto logits = out.at("logits").narrow(1, 0, nodes);
  const auto tokens = rows_of(proposal.tokens);
  std::vector<std::vector<int64_t>> paths;
  std::vector<int64_t> left, places, next;
  for (size_t i = 0; i < rows_.size(); ++i) {
    const int64_t row = rows_[i];
    const auto index = made_[static_cast<size_t>(row)].tokens.size();
    const auto of_row = logits[static_cast<int64_t>(i)];
    const auto accepted =
        acceptance_.accept({proposal.tree, tokens[i], of_row, row, written_, request_.seed, index});
    paths.push_back(accepted.path);
    if (!commit(row, of_row, accepted)) continue;
    left.push_back(row), places.push_back(static_cast<int64_t>(i)), next.push_back(accepted.tokens.back());
  }
  if (!left.empty()) {
    keep(paths);
    drafter_.see(out, nodes, paths);
    if (left.size() < rows_.size()) {
      const auto kept = at::tensor(places, at::kLong);
      state_ = state_.fork(kept);
      drafter_.select(kept);
    }
    roots_ = at::tensor(next, at::kLong);
  }
  rows_ = std::move(left);
}

bool TreeRun::commit(int64_t row, const Tensor& logits, const Acceptance::Accepted& accepted) {
  auto& made = made_[static_cast<size_t>(row)];
  const auto start = made.tokens.size();
  bool goes_on = true;
  for (size_t i = 0; i < accepted.tokens.size() && goes_on; ++i) {
    const int64_t token = accepted.tokens[i];
    made.tokens.push_back(token);
    made.log_probability += logits[accepted.path[i]].log_softmax(-1, at::kDouble)[token].item<double>();
    goes_on = token != request_.stop && (!request_.on_token || request_.on_token(row, token)) &&
              static_cast<int64_t>(made.tokens.size()) < request_.tokens;
  }
  if (request_.on_pass) request_.on_pass(row, static_cast<int64_t>(made.tokens.size() - start));
  return goes_on;
}

void TreeRun::keep(const std::vector<std::vector<int64_t>>& paths) {
  size_t longest = 0;
  std::vector<int64_t> counts, flat;
  for (const auto& path : paths) longest = std::max(longest, path.size());
  for (const auto& path : paths) {
    counts.push_back(static_cast<int64_t>(path.size()));
    flat.insert(flat.end(), path.begin(), path.end());
    flat.resize(counts.size() * longest, 0);
  }
  state_.keep(at::tensor(flat, at::kLong).view({static_cast<int64_t>(paths.size()), -1}),
              at::tensor(counts, at::kLong));
}

}  // namespace

std::vector<Continuation> decode_by_trees(Model& model, const DecodeRequest& request, Drafter& drafter,
                                          const Acceptance& acceptance) {
  const at::NoGradGuard guard;
  if (request.on_path) request.on_path(kWhyTreesArePlain);
  return TreeRun(model, request, drafter, acceptance).run();
}

}  // namespace formwork
