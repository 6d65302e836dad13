#include "formwork/models/model.h"

#include "formwork/linear/nested.h"
#include "formwork/tap/attachment.h"

namespace formwork {

FORMWORK_KIND(Model);

ModelState ModelState::fork(const Tensor& rows) const {
  ModelState copy;
  for (const auto& step : steps) copy.steps.push_back(step ? step->fork(rows) : nullptr);
  copy.lengths = lengths.index_select(0, rows);
  copy.undecided = undecided;
  for (const auto& before : history) copy.history.push_back(before.index_select(0, rows));
  for (const auto& [name, stream] : streams) {
    auto& to = copy.streams[name] = stream;
    to.x = stream.x.index_select(0, rows);
    if (stream.layout.lengths.defined()) to.layout.lengths = stream.layout.lengths.index_select(0, rows);
  }
  return copy;
}

void ModelState::roll_back(int64_t appends) {
  if (appends > static_cast<int64_t>(history.size()))
    fail("state: cannot roll back {} appends, only {} were made", appends, history.size());
  if (appends == 0) return;
  for (auto& step : steps)
    if (step) step->roll_back(appends);
  lengths = history[history.size() - static_cast<size_t>(appends)];
  history.resize(history.size() - static_cast<size_t>(appends));
  undecided = 0;
}

void ModelState::keep(const Tensor& places, const Tensor& counts) {
  if (undecided == 0) fail("state: expected a tree or drafts in the last append, of which some tokens stay");
  const int64_t rows = lengths.size(0);
  if (places.dim() != 2 || places.size(0) != rows || counts.dim() != 1 || counts.size(0) != rows)
    fail("state: expected places [{}, n] and counts [{}], found [{}] and [{}]", rows, rows,
         fmt::join(places.sizes().vec(), ", "), fmt::join(counts.sizes().vec(), ", "));
  if (rows > 0 && places.size(1) > 0 &&
      (places.min().item<int64_t>() < 0 || places.max().item<int64_t>() >= undecided))
    fail("state: expected places among the {} tokens of the last append, found {} to {}", undecided,
         places.min().item<int64_t>(), places.max().item<int64_t>());
  for (auto& step : steps)
    if (step) step->keep(places, counts);
  lengths = history.back() + counts;
  undecided = 0;
}

int64_t ModelState::bytes() const {
  int64_t total = 0;
  for (const auto& step : steps)
    if (step) total += step->bytes();
  for (const auto& [name, stream] : streams) total += static_cast<int64_t>(stream.x.nbytes());
  return total;
}

Record Model::forward(Context& ctx, const Record& in) {
  Record out;
  auto streams = start(ctx, in);
  run(ctx, 0, static_cast<int64_t>(segments().size()), streams);
  finish(ctx, streams, out);
  return out;
}

ModelState Model::make_state(Context&, const Record&, const StateOptions&) {
  fail("model '{}' cannot be decoded token by token", spec().model.type);
}

Record Model::append(Context&, const Record&, ModelState&) {
  fail("model '{}' cannot be decoded token by token", spec().model.type);
}

TapBoard Model::make_board() const {
  TapBoard board(inventory_->taps);
  for (const auto& [slot, attachment] : inventory_->attached)
    board.attach(slot, [part = attachment](Context& ctx, const TapEvent&, const Tensor& x) {
      return part->forward(ctx, x);
    });
  return board;
}

Context Model::make_context(TapBoard* board) const {
  Context ctx;
  if (!board && !inventory_->attached.empty()) {
    if (!board_) board_ = std::make_unique<TapBoard>(make_board());
    board = board_.get();
  }
  ctx.taps = board;
  if (board) board->start_pass();
  return ctx;
}

void Model::to(at::Device device) {
  for (auto& param : inventory_->params) {
    if (!param.value.defined()) continue;
    const bool trained = param.value.requires_grad();
    param.value = param.value.detach().to(device).set_requires_grad(trained);
  }
}

int64_t Model::parameter_count() const {
  int64_t total = 0;
  for (const auto& param : inventory_->params)
    if (param.value.defined()) total += param.value.numel();
  return total;
}

int64_t Model::bytes() const {
  int64_t total = 0;
  for (const auto& param : inventory_->params)
    if (param.value.defined()) total += static_cast<int64_t>(param.value.nbytes());
  return total;
}

double Model::flops_per_token(int64_t context) const {
  double total = 0;
  for (const auto* map : inventory_->maps)
    if (map->role() != Role::embed || !inventory_->ties.empty())
      if (!enclosing(inventory_->maps, *map)) total += map->flops();
  for (const auto& [path, part] : inventory_->parts)
    if (const auto* cost = facet<CostFacet>(*part)) total += cost->flops_per_token(context);
  return total;
}

std::vector<Tensor> Model::trainable() const {
  std::vector<Tensor> tensors;
  for (const auto& param : inventory_->params)
    if (param.trainable()) tensors.push_back(param.value);
  return tensors;
}

std::shared_ptr<Model> build_model(const Spec& spec, uint64_t seed, at::ScalarType dtype, bool allocate) {
  auto inventory = std::make_unique<Inventory>();
  inventory->spec = spec;
  inventory->seed = seed;
  inventory->dtype = dtype;
  inventory->allocate = allocate;
  Build root(*inventory, "", {}, {});
  std::shared_ptr<Model> model = Registry<Model>::make(root, spec.model);
  for (const auto& [axis, size] : spec.axes.items())
    if (!inventory->axes.count(axis)) {
      std::vector<std::string> names;
      for (const auto& [name, info] : inventory->axes) names.push_back(name);
      fail_unknown("Spec: axis", axis, names);
    }
  for (const auto& [pattern, map] : spec.linear.items())
    if (std::none_of(inventory->maps.begin(), inventory->maps.end(),
                     [&, &key = pattern](const LinearMap* m) { return matches(key, m->path()); })) {
      std::vector<std::string> names;
      for (const auto* m : inventory->maps) names.push_back(m->path());
      fail_unknown("Spec: linear map", pattern, names);
    }
  attach_parts(root);
  model->inventory_ = std::move(inventory);
  return model;
}

}  // namespace formwork
