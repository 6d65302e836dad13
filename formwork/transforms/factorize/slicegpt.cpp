#include "formwork/transforms/factorize/slicegpt.h"

#include "formwork/core/random.h"

namespace formwork {

std::pair<Tensor, Tensor> principal_basis(const Tensor& moment) {
  // Damping moves all eigenvalues alike and keeps the solver away from an exactly singular matrix.
  const auto damp = 0.01 * moment.diagonal().mean();
  const auto [values, vectors] = at::linalg_eigh(moment + damp * at::eye(moment.size(0), moment.options()));
  return {vectors.flip({1}).contiguous(), (values.flip({0}) - damp).clamp_min(0)};
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

int64_t SliceGpt::kept(int64_t original, int64_t now, size_t position, size_t positions) const {
  if (position + 1 == positions && !options_.slice_head && !options_.shared_basis) return now;
  double sparsity = options_.sparsity;
  if (!options_.schedule.empty()) {
    if (options_.schedule.size() != positions)
      fail("slicegpt: the schedule has {} entries, the stream {} positions", options_.schedule.size(),
           positions);
    sparsity = options_.schedule[position];
    if (!(sparsity >= 0 && sparsity < 1))
      fail("slicegpt: schedule entry {} is {}, expected [0, 1)", position, sparsity);
  }
  if (sparsity == 0) return now;
  const auto raw = static_cast<int64_t>((1 - sparsity) * static_cast<double>(original) + 1e-9);
  const int64_t kept = raw / options_.round_interval * options_.round_interval;
  if (kept < std::min<int64_t>(8, original))
    fail("slicegpt: sparsity {} keeps {} of {} channels, fewer than 8", sparsity, kept, original);
  if (kept > now)
    fail(
        "slicegpt: sparsity {} keeps {} channels, but position {} has {} left: a sliced model can only be "
        "sliced further",
        sparsity, kept, position, now);
  return kept;
}

Tensor SliceGpt::orient(const Tensor& basis, int64_t kept, size_t position) const {
  if (options_.orientation == "pca") return basis;
  auto stream = make_stream(static_cast<uint64_t>(options_.seed), "slicegpt.orientation", position);
  const auto random = at::empty({kept, kept}, basis.options()).uniform_(0, 1, stream);
  auto rotated = basis.clone();
  rotated.narrow(1, 0, kept).copy_(basis.narrow(1, 0, kept).matmul(std::get<0>(at::linalg_qr(random))));
  return rotated;
}

namespace {

// The stream of every calibration batch, carried from position to position.
struct Signals {
  std::vector<Streams> batches;
  bool apply_mask = true;

  // Sum of x^T x over the tokens, double [D, D]. `place` is what reads the stream, for errors.
  Tensor moment(const std::string& place) const {
    Tensor sum;
    for (size_t i = 0; i < batches.size(); ++i) {
      const auto& stream = batches[i].at("residual");
      Context ctx;
      if (apply_mask) ctx.layout = &stream.layout;
      const auto x = real_tokens(ctx, stream.x).to(at::kDouble);
      const auto part = x.t().matmul(x);
      if (!part.isfinite().all().item<bool>())
        fail("slicegpt: the stream before '{}' is not finite on batch {} of the calibration data", place, i);
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
  void step(Model& model, size_t position) {
    for (auto& streams : batches) {
      auto ctx = model.make_context();
      model.run(ctx, static_cast<int64_t>(position), static_cast<int64_t>(position) + 1, streams);
    }
  }
};

Signals first_signals(Model& model, const Calibration& data, bool apply_mask) {
  Signals signals;
  signals.apply_mask = apply_mask;
  for (const auto& batch : data.batches) {
    auto ctx = model.make_context();
    signals.batches.push_back(model.start(ctx, batch));
  }
  return signals;
}

std::string shortcut_of(const std::string& step) { return step + ".shortcut"; }

bool has_shortcuts(const Model& model) {
  const auto steps = model.segments();
  return std::any_of(steps.begin(), steps.end(),
                     [&](const auto& step) { return model.spec().linear.contains(shortcut_of(step)); });
}

// The width of the stream before any slicing.
int64_t original_width(const Model& model) {
  for (const auto* map : model.inventory().maps)
    for (const auto* dim : {&map->need().in, &map->need().out})
      for (const auto& segment : dim->segments)
        for (const auto& axis : segment)
          if (axis.name == "residual") return axis.asked();
  return model.inventory().axes.at("residual").size;
}

void check(const Model& model) {
  const auto& streams = model.inventory().streams;
  const auto steps = model.segments();
  std::set<std::string> known = {"residual"};
  for (const auto& step : steps) {
    if (step.find('@') != std::string::npos)
      fail("slicegpt: '{}' is repeated, and a repeated step cannot have a basis for each pass", step);
    known.insert(step + ".stream");
  }
  if (!streams.count("residual") ||
      !std::includes(known.begin(), known.end(), streams.begin(), streams.end()))
    fail("slicegpt: expected a model with one stream 'residual', found {}", fmt::join(streams, ", "));
}

}  // namespace

std::shared_ptr<Model> SliceGpt::prepare(const std::shared_ptr<Model>& model) const {
  check(*model);
  if (options_.shared_basis && has_shortcuts(*model))
    fail("slicegpt: the model has a basis for each position already and cannot share one");
  auto current = model;
  if (!model->inventory().ties.empty()) {
    Edit edit(*current);
    edit.untie();
    current = edit.finish();
  }
  Edit fold(*current);
  fold.fold_norms();
  current = fold.finish();
  const auto steps = current->segments();
  const auto lacking = [&](const std::string& step) {
    return !current->spec().linear.contains(shortcut_of(step));
  };
  if (options_.shared_basis || std::none_of(steps.begin(), steps.end(), lacking)) return current;
  if (has_shortcuts(*current)) fail("slicegpt: some steps have shortcut maps and others do not");
  Edit edit(*current);
  const int64_t width = edit.axis_size("residual");
  for (const auto& step : steps) edit.add_shortcut(step, width);
  return edit.finish();
}

StreamBasis SliceGpt::basis_of(const Tensor& moment, int64_t original, size_t position,
                               size_t positions) const {
  const auto [vectors, values] = principal_basis(moment);
  StreamBasis basis;
  basis.kept = kept(original, moment.size(0), position, positions);
  basis.vectors = orient(vectors, basis.kept, position);
  basis.energy = values.sum().item<double>();
  basis.discarded = values.narrow(0, basis.kept, values.size(0) - basis.kept).sum().item<double>();
  return basis;
}

std::vector<StreamBasis> SliceGpt::find_bases(Model& prepared, const Calibration& given) const {
  const auto data = at_most(given, options_.sequences, options_.length);
  auto places = prepared.segments();
  places.emplace_back("head");
  const size_t positions = places.size();
  const int64_t original = original_width(prepared);
  auto signals = first_signals(prepared, data, options_.apply_mask);
  std::vector<StreamBasis> bases;
  if (options_.shared_basis) {  // of the signals at all positions together
    auto moment = signals.moment(places[0]);
    for (size_t p = 0; p + 1 < positions; ++p) {
      signals.step(prepared, p);
      moment = moment + signals.moment(places[p + 1]);
    }
    return std::vector<StreamBasis>(positions, basis_of(moment, original, 0, positions));
  }
  for (size_t p = 0; p < positions; ++p) {
    bases.push_back(basis_of(signals.moment(places[p]), original, p, positions));
    if (p + 1 == positions) break;
    signals.project(bases.back().vectors.narrow(1, 0, bases.back().kept));
    signals.step(prepared, p);
  }
  return bases;
}

std::shared_ptr<Model> SliceGpt::change_bases(const Model& prepared, const std::vector<Tensor>& bases,
                                              const Json& recorded) {
  Edit edit(prepared);
  edit.rotate("residual", bases[0]);
  const auto steps = prepared.segments();
  if (has_shortcuts(prepared))
    for (size_t p = 0; p < steps.size(); ++p) edit.rotate(steps[p] + ".stream", bases[p + 1]);
  if (!recorded.is_null()) edit.record("slicegpt", recorded);
  return edit.finish();
}

TransformResult SliceGpt::apply(const std::shared_ptr<Model>& model, const Calibration& data) {
  const at::NoGradGuard guard;
  if (data.batches.empty()) fail("slicegpt: no calibration data was given");
  const auto prepared = prepare(model);
  const auto steps = prepared->segments();
  const auto bases = find_bases(*prepared, data);
  TransformResult result;
  result.report["positions"] = Json::array();
  std::vector<Tensor> columns;
  for (size_t p = 0; p < bases.size(); ++p) {
    const auto& basis = bases[p];
    columns.push_back(basis.vectors.narrow(1, 0, basis.kept));
    result.report["positions"].push_back({{"before", p < steps.size() ? steps[p] : "head"},
                                          {"kept", basis.kept},
                                          {"of", basis.vectors.size(0)},
                                          {"energy", basis.energy},
                                          {"discarded", basis.discarded}});
  }
  result.model = change_bases(*prepared, columns, options_json(options_));
  options_.apply(result);
  result.report["parameters_before"] = model->parameter_count();
  result.report["parameters"] = result.model->parameter_count();
  return result;
}

FORMWORK_PART(Transform, SliceGpt, "slicegpt",
              "rotate the stream into its principal components and delete the last");

}  // namespace formwork
