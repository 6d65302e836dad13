#include "formwork/transforms/factorize/slicegpt.h"

#include "formwork/core/random.h"

namespace formwork {

std::pair<Tensor, Tensor> principal_basis(const Tensor& moment) {
  const auto damp = 0.01 * moment.diagonal().mean();
  const auto damped = moment + damp * at::eye(moment.size(0), moment.options());
  auto [values, vectors] = at::linalg_eigh(damped);
  return {vectors.flip({1}).contiguous(), values.flip({0})};
}

std::vector<Json> SliceGpt::budgets() const {
  return {{{"sparsity", 0.1}}, {{"sparsity", 0.2}}, {{"sparsity", 0.3}}};
}

std::optional<Budget> SliceGpt::budget(const Model& before, const TransformResult& made) const {
  if (!options_.schedule.empty()) return std::nullopt;
  const auto width = static_cast<double>(before.inventory().axes.at("residual").size);
  double kept = 0;
  for (const auto& position : made.report.at("positions")) kept += position.at("kept").get<double>();
  const auto positions = static_cast<double>(made.report.at("positions").size());
  return Budget{"share of channels deleted", options_.sparsity, 1 - kept / (width * positions)};
}

int64_t SliceGpt::kept(int64_t width, size_t position, size_t positions) const {
  if (position + 1 == positions && !options_.slice_head && !options_.shared_basis) return width;
  double sparsity = options_.sparsity;
  if (!options_.schedule.empty()) {
    if (options_.schedule.size() != positions)
      fail("slicegpt: the schedule has {} entries, the stream {} positions", options_.schedule.size(),
           positions);
    sparsity = options_.schedule[position];
    if (!(sparsity >= 0 && sparsity < 1))
      fail("slicegpt: schedule entry {} is {}, expected [0, 1)", position, sparsity);
  }
  if (sparsity == 0) return width;
  const auto raw = static_cast<int64_t>((1 - sparsity) * static_cast<double>(width) + 1e-9);
  const int64_t kept = raw / options_.round_interval * options_.round_interval;
  if (kept < std::min<int64_t>(8, width))
    fail("slicegpt: sparsity {} keeps {} of {} channels, fewer than 8", sparsity, kept, width);
  return kept;
}

Tensor SliceGpt::orient(const Tensor& basis, int64_t kept) const {
  if (options_.orientation == "pca") return basis;
  auto stream = make_stream(static_cast<uint64_t>(options_.seed), "slicegpt.orientation");
  const auto random = at::empty({kept, kept}, basis.options()).uniform_(0, 1, stream);
  auto rotated = basis.clone();
  rotated.narrow(1, 0, kept).copy_(basis.narrow(1, 0, kept).matmul(std::get<0>(at::linalg_qr(random))));
  return rotated;
}

namespace {

// The stream of every calibration batch, carried from position to position.
struct Signals {
  std::vector<Streams> batches;

  Tensor moment() const {  // sum of x^T x over real tokens, double [D, D]
    Tensor sum;
    for (const auto& streams : batches) {
      const auto& stream = streams.at("residual");
      Context ctx;
      ctx.layout = &stream.layout;
      const auto x = real_tokens(ctx, stream.x).to(at::kDouble);
      const auto part = x.t().matmul(x);
      sum = sum.defined() ? sum + part : part;
    }
    return sum;
  }
  // What a sliced model would carry, in the original basis: x Q' Q'^T.
  void project(const Tensor& kept_basis) {
    for (auto& streams : batches) {
      auto& x = streams.at("residual").x;
      const auto basis = kept_basis.to(x.scalar_type());
      x = x.matmul(basis).matmul(basis.t());
    }
  }
};

std::shared_ptr<Model> folded(const std::shared_ptr<Model>& model) {
  auto current = model;
  if (!model->inventory().ties.empty()) {
    Edit edit(*current);
    edit.untie();
    current = edit.finish();
  }
  Edit edit(*current);
  edit.fold_norms();
  return edit.finish();
}

// Every step gets a shortcut map (an identity for now), so that each position has an axis of its own.
std::shared_ptr<Model> with_shortcuts(const Model& model) {
  Edit edit(model);
  const int64_t width = edit.axis_size("residual");
  for (const auto& step : model.segments()) edit.add_shortcut(step, width);
  return edit.finish();
}

}  // namespace

TransformResult SliceGpt::apply(const std::shared_ptr<Model>& model, const Calibration& data) {
  const at::NoGradGuard guard;
  if (data.batches.empty()) fail("slicegpt: no calibration data was given");
  if (model->inventory().streams.size() != 1 || !model->inventory().streams.count("residual"))
    fail("slicegpt: expected a model with one stream 'residual' that was not sliced before, found {}",
         fmt::join(model->inventory().streams, ", "));
  auto dense = folded(model);
  const auto steps = dense->segments();
  for (const auto& step : steps)
    if (step.find('@') != std::string::npos)
      fail("slicegpt: '{}' is repeated, and a repeated step cannot have a basis for each pass", step);

  Signals signals;
  for (const auto& batch : data.batches) {
    auto ctx = dense->make_context();
    signals.batches.push_back(dense->start(ctx, batch));
  }
  const int64_t width = dense->inventory().axes.at("residual").size;
  const size_t positions = steps.size() + 1;
  std::vector<Tensor> bases;
  TransformResult result;
  result.report["positions"] = Json::array();
  for (size_t p = 0; p < positions; ++p) {
    const auto [basis, values] = principal_basis(signals.moment());
    const int64_t keep = kept(width, p, positions);
    const auto used = options_.shared_basis && p > 0 ? bases[0] : orient(basis, keep).narrow(1, 0, keep);
    bases.push_back(used);
    const double energy = (values.narrow(0, 0, keep).sum() / values.sum()).item<double>();
    result.report["positions"].push_back(
        {{"before", p < steps.size() ? steps[p] : "head"}, {"kept", keep}, {"energy", energy}});
    if (p + 1 == positions) break;
    signals.project(used);
    for (auto& streams : signals.batches) {
      auto ctx = dense->make_context();
      dense->run(ctx, static_cast<int64_t>(p), static_cast<int64_t>(p) + 1, streams);
    }
  }

  auto split = options_.shared_basis ? dense : with_shortcuts(*dense);
  Edit edit(*split);
  edit.rotate("residual", bases[0]);
  if (!options_.shared_basis)
    for (size_t p = 0; p < steps.size(); ++p) edit.rotate(steps[p] + ".stream", bases[p + 1]);
  edit.record("slicegpt", options_json(options_));
  result.model = edit.finish();
  return result;
}

FORMWORK_PART(Transform, SliceGpt, "slicegpt",
              "rotate the stream into its principal components and delete the last");

}  // namespace formwork
