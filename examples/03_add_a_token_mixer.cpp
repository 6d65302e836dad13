// Adds a token mixer from outside the library. Once registered it is a part like any other: it is named in a
// Spec, its options are checked, and a model that has it is saved, compressed and decoded token by token.
//
//   h_t = decay h_{t-1} + (1 - decay) x_t,   y_t = W_out h_t        an exponential moving average of the past
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <formwork/linear/linear_map.h>
#include <formwork/mixers/token_mixer.h>
#include <formwork/models/model.h>

#include <cmath>
#include <cstdio>

namespace formwork {
namespace {

// h after the latest appends, oldest first; the last one is the current [B, D]. Of those before it, as many
// are kept as the state must be able to take back.
class AverageState final : public State {
 public:
  AverageState(std::vector<Tensor> history, int64_t reversible)
      : history_(std::move(history)), reversible_(static_cast<size_t>(reversible)) {}
  std::unique_ptr<State> fork(const Tensor& rows) const override {
    std::vector<Tensor> copies;
    for (const auto& h : history_) copies.push_back(h.index_select(0, rows));
    return std::make_unique<AverageState>(copies, reversible_);
  }
  void roll_back(int64_t appends) override {
    history_.resize(history_.size() - static_cast<size_t>(appends));
  }
  int64_t bytes() const override { return static_cast<int64_t>(history_.size() * history_.back().nbytes()); }

  const Tensor& current() const { return history_.back(); }
  void push(const Tensor& h) {
    history_.push_back(h);
    if (history_.size() > reversible_ + 1) history_.erase(history_.begin());
  }

 private:
  std::vector<Tensor> history_;
  size_t reversible_;
};

class MovingAverage final : public TokenMixer {
 public:
  struct Options {
    double decay = 0.9;
    void describe(Fields& f) { f.number("decay", decay, "weight of the past", 0, 1); }
  };

  MovingAverage(Build& build, const Options& options) : decay_(options.decay), width_(build.in.size) {
    LinearNeed need;
    need.role = Role::out, need.in = build.in, need.out = build.out;
    build.reads_input_directly();
    out_ = make_linear(build, "out", need);
  }

  Traits traits() const override {
    Traits traits;
    traits.causal = true;
    return traits;
  }

  std::unique_ptr<State> make_state(const StateOptions& options) const override {
    const auto start = at::zeros({options.batch, width_}, at::device(options.device).dtype(options.dtype));
    return std::make_unique<AverageState>(std::vector<Tensor>{start}, options.reversible);
  }

  Tensor append(Context& ctx, const Tensor& x, State* state) override {
    auto& average = *static_cast<AverageState*>(state);
    const auto before = average.current();
    const auto h = average_over(x, before);  // [B, n, D]
    if (ctx.layout && ctx.layout->lengths.defined()) {
      // Row b takes only its first lengths[b] tokens; the entry before them is the state so far.
      const auto all = at::cat({before.unsqueeze(1), h}, 1);
      const auto last = ctx.layout->lengths.view({-1, 1, 1}).expand({-1, 1, width_});
      average.push(all.gather(1, last).squeeze(1));
    } else {
      average.push(h.select(1, -1));
    }
    return out_->forward(ctx, h);
  }

 protected:
  Tensor mix(Context& ctx, const Tensor& x) override {
    return out_->forward(ctx, average_over(x, at::zeros({x.size(0), width_}, x.options())));
  }

 private:
  // x [B, T, D], the average before it [B, D] -> the average at each token [B, T, D].
  Tensor average_over(const Tensor& x, Tensor h) const {
    std::vector<Tensor> steps;
    for (const auto& token : x.unbind(1)) steps.push_back(h = decay_ * h + (1 - decay_) * token);
    return at::stack(steps, 1);
  }

  double decay_;
  int64_t width_;
  std::unique_ptr<LinearMap> out_;
};

FORMWORK_PART(TokenMixer, MovingAverage, "moving_average", "exponential moving average of the past");

}  // namespace
}  // namespace formwork

int main() {
  const auto spec = formwork::Spec::from_json(formwork::Json::parse(R"({
      "formwork": 1,
      "model": {
        "type": "decoder", "vocab": 32, "width": 16,
        "layers": {"repeat": 2, "pattern": [{"mixer": {"type": "moving_average", "decay": 0.8},
                                             "channel": {"type": "mlp", "hidden": 32}}]}}})"),
                                              "this example");
  const auto model = formwork::build_model(spec, /*seed=*/1);
  const at::NoGradGuard guard;
  auto ctx = model->make_context();
  const auto ids = at::randint(32, {2, 8}, at::kLong);
  const auto whole = model->forward(ctx, {{"input_ids", ids}})["logits"];

  formwork::StateOptions options;
  options.batch = 2;
  auto state = model->make_state(ctx, {}, options);
  double difference = 0;
  for (int64_t t = 0; t < ids.size(1); ++t) {
    const auto step = model->append(ctx, {{"input_ids", ids.narrow(1, t, 1)}}, state)["logits"];
    difference = std::max(difference, (step - whole.narrow(1, t, 1)).abs().max().item<double>());
  }
  std::printf("%ld parameters; forward and token by token differ by %.1e\n",
              static_cast<long>(model->parameter_count()), difference);
  return difference < 1e-5 ? 0 : 1;
}
