#include "formwork/decode/plain_steps.h"

#include "formwork/runtime/session.h"
#include "formwork/tap/attachment.h"
#include "formwork/wiring/wiring.h"

namespace formwork {
namespace {

// The states of all sequences, each with the number of tokens before each of its appends.
class SequenceStates final : public runtime::State {
 public:
  SequenceStates(const Layer& layer, const StateOptions& options, int64_t rows)
      : layer_(layer), options_(options) {
    for (int64_t row = 0; row < rows; ++row) rows_.push_back({layer.make_state(options), {}});
  }
  // Null where each token is treated alone.
  formwork::State* append(int64_t row, int64_t start) {
    auto& entry = rows_.at(static_cast<size_t>(row));
    entry.starts.push_back(start);
    return entry.state.get();
  }
  void select(const std::vector<int64_t>& rows) override {
    std::vector<Row> chosen;
    for (const int64_t row : rows) {
      const auto& from = rows_.at(static_cast<size_t>(row));
      chosen.push_back({from.state->fork(at::zeros({1}, at::kLong)), from.starts});
    }
    rows_ = std::move(chosen);
  }
  void truncate(int64_t row, int64_t tokens) override {
    auto& [state, starts] = rows_.at(static_cast<size_t>(row));
    if (tokens == 0) {
      state = layer_.make_state(options_), starts.clear();
      return;
    }
    const auto first = std::lower_bound(starts.begin(), starts.end(), tokens);
    if (first == starts.end() || *first != tokens)
      fail("truncate: {} tokens end inside a pass, which is taken back whole", tokens);
    state->roll_back(starts.end() - first);
    starts.erase(first, starts.end());
  }
  int64_t bytes() const override {
    int64_t total = 0;
    for (const auto& row : rows_) total += row.state->bytes();
    return total;
  }

 private:
  struct Row {
    std::unique_ptr<formwork::State> state;
    std::vector<int64_t> starts;
  };
  const Layer& layer_;
  StateOptions options_;
  std::vector<Row> rows_;
};

class PlainStep final : public runtime::Step {
 public:
  PlainStep(const Model& model, const StepInfo& step, int64_t out) : model_(model), step_(step), out_(out) {}

  std::unique_ptr<runtime::State> make_state(const runtime::StateOptions& options) const override {
    StateOptions own;
    own.batch = 1, own.capacity = options.capacity, own.dtype = model_.inventory().dtype;
    // Of the passes that may be taken back, each may be so many appends here.
    own.reversible = options.reversible * runtime::kManyTokens;
    if (!step_.layer->make_state(own)) return nullptr;
    return std::make_unique<SequenceStates>(*step_.layer, own, options.rows);
  }

  void run(runtime::Pass& pass, runtime::State* state, runtime::Stream& stream) const override {
    const at::NoGradGuard guard;
    for (const auto& sequence : pass.sequences) {
      const int64_t each = pass.many ? sequence.count : 1;
      for (int64_t t = 0; t < sequence.count; t += each) {
        auto* own =
            state ? static_cast<SequenceStates*>(state)->append(sequence.row, sequence.start + t) : nullptr;
        run_rows(own, sequence.first + t, each, stream);
      }
    }
    std::swap(stream.x, stream.spare);
    stream.width = out_;
  }

 private:
  // Rows [first, first + count) of the stream, from x to spare.
  void run_rows(State* state, int64_t first, int64_t count, const runtime::Stream& stream) const {
    auto ctx = model_.make_context();
    const Layout layout;
    const LayoutScope scope(ctx, layout);
    const auto x = at::from_blob(stream.x + first * stream.width, {1, count, stream.width}, at::kFloat)
                       .to(model_.inventory().dtype);
    at::from_blob(stream.spare + first * out_, {1, count, out_}, at::kFloat)
        .copy_(ctx.tap(step_.stream, step_.layer->append(ctx, x, state)));
  }

  const Model& model_;
  StepInfo step_;
  int64_t out_;
};

}  // namespace

PlainSteps::PlainSteps(const Model& model) : model_(model) {
  const auto& inventory = model.inventory();
  for (const auto& [slot, part] : inventory.attached) {
    const auto& tap = inventory.taps.name(slot);
    const auto below = [&](const auto& step) { return tap.starts_with(step.name + "."); };
    const auto found = std::find_if(inventory.steps.begin(), inventory.steps.end(), below);
    if (found == inventory.steps.end()) runtime::refuse_form("attach", "the part on '{}'", tap);
    attached_.emplace(found->name, tap);
  }
}

std::string PlainSteps::why_not(const std::string& path) const {
  const auto found = attached_.find(path);
  return found == attached_.end()
             ? ""
             : fmt::format("attach: the part on '{}' has no runtime form", found->second);
}

runtime::OtherSteps::Placed PlainSteps::place(const StepInfo& step, const std::string& why) const {
  const auto* residual = dynamic_cast<const ResidualStep*>(step.layer);
  if (!residual) throw runtime::NoRuntimeForm(why);
  return {std::make_unique<PlainStep>(model_, step, residual->out().size), residual->out()};
}

runtime::OtherSteps::Placed PlainSteps::step(const std::string& path, const std::string& why) const {
  const auto& steps = model_.inventory().steps;
  const auto found =
      std::find_if(steps.begin(), steps.end(), [&](const auto& step) { return step.name == path; });
  if (found == steps.end()) throw runtime::NoRuntimeForm(why);
  reasons_.push_back(why);
  return place(*found, why);
}

std::vector<runtime::OtherSteps::Placed> PlainSteps::below(const std::string& path,
                                                           const std::string& why) const {
  std::vector<Placed> placed;
  for (const auto& step : model_.inventory().steps) {
    if (!step.name.starts_with(path + ".")) continue;
    if (step.repeats) throw runtime::NoRuntimeForm(why);
    placed.push_back(place(step, why));
  }
  reasons_.push_back(why);
  return placed;
}

}  // namespace formwork
