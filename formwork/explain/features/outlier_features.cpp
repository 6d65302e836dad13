#include "formwork/explain/features/outlier_features.h"

#include "formwork/explain/probe.h"
#include "formwork/linear/linear_map.h"
#include "formwork/tap/real_tokens.h"

namespace formwork {
namespace {

bool is_projection(const LinearMap& map, const std::string& axis) {
  const Role role = map.role();
  if (role == Role::embed || role == Role::head || role == Role::router || role == Role::shortcut ||
      role == Role::conv || role == Role::transfer)
    return false;
  const auto& segments = map.need().in.segments;
  return segments.size() == 1 && segments[0].size() == 1 && segments[0][0].name == axis;
}

std::vector<Slot> projection_inputs(const Model& model, const std::string& axis) {
  std::vector<Slot> slots;
  for (const auto* map : model.inventory().maps)
    if (is_projection(*map, axis) && std::find(slots.begin(), slots.end(), map->input_tap()) == slots.end())
      slots.push_back(map->input_tap());
  if (!slots.empty()) return slots;
  std::vector<std::string> names;
  for (const auto& [name, info] : model.inventory().axes) names.push_back(name);
  fail_unknown("outlier_features: axis that projections read", axis, names);
}

struct Layer {
  int64_t tokens = 0;
  Tensor count;  // [D] tokens that reach the threshold
};

// What the taps saw.
class Seen {
 public:
  explicit Seen(double threshold) : threshold_(threshold) {}

  void add(Slot slot, const std::string& name, const Tensor& h) {
    if (!h.isfinite().all().item<bool>()) fail("outlier_features: '{}' is not finite", name);
    const auto reached = h.abs() >= threshold_;
    auto& layer = layers_[slot];
    layer.tokens += h.size(0);
    const auto count = reached.sum(0);
    layer.count = layer.count.defined() ? layer.count + count : count;
    index_.push_back(reached.nonzero().select(1, 1));
    values_.push_back(h.masked_select(reached).to(at::kDouble));
    batch_ = batch_.defined() && batch_.size(0) == h.size(0) ? batch_.logical_or(reached) : reached;
  }
  void finish_batch() {
    tokens_ += batch_.size(0);
    reached_.push_back(batch_);
    batch_ = Tensor();
  }
  Json report(const OutlierCriteria& criteria) const;

 private:
  double threshold_;
  std::map<Slot, Layer> layers_;
  std::vector<Tensor> index_, values_;  // feature and value of each entry that reaches the threshold
  std::vector<Tensor> reached_;         // [N, D] of each batch, in any layer
  Tensor batch_;
  int64_t tokens_ = 0;
};

Json one_feature(int64_t feature, double layers, double positions, const Tensor& values) {
  Json quartiles = Json::array();
  for (const double share : {0.25, 0.5, 0.75})
    quartiles.push_back(at::quantile(values, share).item<double>());
  return {{"feature", feature},
          {"layers", layers},
          {"positions", positions},
          {"quartiles", quartiles},
          {"positive", (values > 0).to(at::kDouble).mean().item<double>()}};
}

Json Seen::report(const OutlierCriteria& criteria) const {
  const int64_t width = reached_.at(0).size(1);
  auto layers_of = at::zeros({width}, at::kDouble), reached = layers_of.clone(), tokens = layers_of.clone();
  for (const auto& [slot, layer] : layers_) {
    const auto has = (layer.count > 0).to(at::kDouble);
    layers_of += has;
    reached += layer.count;
    tokens += has * static_cast<double>(layer.tokens);
  }
  const auto layer_share = layers_of / static_cast<double>(layers_.size());
  const auto position_share = reached / tokens.clamp_min(1);
  const auto found = (layer_share > 0)
                         .logical_and(layer_share >= criteria.layers)
                         .logical_and(position_share >= criteria.positions);
  const auto index = at::cat(index_), values = at::cat(values_);
  Json features = Json::array();
  for (int64_t i = 0; i < width; ++i)
    if (found[i].item<bool>())
      features.push_back(one_feature(i, layer_share[i].item<double>(), position_share[i].item<double>(),
                                     values.masked_select(index == i)));
  double any_layers = 0, any_tokens = 0;
  for (const auto& [slot, layer] : layers_)
    any_layers += (layer.count > 0).logical_and(found).any().item<bool>();
  for (const auto& batch : reached_) any_tokens += batch.logical_and(found).any(1).sum().item<double>();
  const auto count = static_cast<double>(features.size());
  return {{"width", width},
          {"layers", layers_.size()},
          {"tokens", tokens_},
          {"features", std::move(features)},
          {"share", count / static_cast<double>(width)},
          {"layers_with_any", any_layers / static_cast<double>(layers_.size())},
          {"positions_with_any", any_tokens / static_cast<double>(std::max<int64_t>(1, tokens_))}};
}

class OutlierFeatures final : public Probe {
 public:
  using Options = OutlierCriteria;
  explicit OutlierFeatures(const Options& options) : options_(options) {}
  Json run(Model& model, const std::vector<Record>& batches) const override {
    return outlier_features(model, batches, options_);
  }

 private:
  Options options_;
};

FORMWORK_PART(Probe, OutlierFeatures, "outlier_features",
              "the few features that are far larger than all others in many layers");

}  // namespace

Json outlier_features(Model& model, const std::vector<Record>& batches, const OutlierCriteria& criteria) {
  if (batches.empty()) fail("outlier_features: no data was given");
  if (!(criteria.threshold > 0))
    fail("outlier_features: expected a threshold > 0, found {}", criteria.threshold);
  const at::NoGradGuard guard;
  Seen seen(criteria.threshold);
  auto board = model.make_board();
  for (const Slot slot : projection_inputs(model, criteria.axis))
    board.listen(slot, [&](Context& ctx, const TapEvent& event, const Tensor& x) {
      seen.add(event.slot, event.name, real_tokens(ctx, x));
      return x;
    });
  for (const auto& batch : batches) {
    auto ctx = model.make_context(&board);
    model.forward(ctx, batch);
    seen.finish_batch();
  }
  return seen.report(criteria);
}

}  // namespace formwork
