#include "formwork/train/steps/local_objective.h"

#include "formwork/models/tokens.h"
#include "formwork/train/objectives/reconstruction.h"
#include "formwork/train/objectives/supervised_contrastive.h"

namespace formwork {
namespace {

constexpr double kPixelSlack = 1e-3;  // what rounding may do to 0 and 1

// Numbers of a list in `meta`, one for each channel, as [1, C, 1, 1]; `otherwise` where there is none.
Tensor by_channel(const Json& meta, const char* name, double otherwise, const Tensor& pixels) {
  const auto channels = pixels.size(1);
  std::vector<double> values(static_cast<size_t>(channels), otherwise);
  if (const auto found = meta.find(name); found != meta.end()) values = found->get<std::vector<double>>();
  if (static_cast<int64_t>(values.size()) != channels)
    fail("meta.{}: expected {} numbers, one for each channel, found {}", name, channels, values.size());
  return at::tensor(values, at::kDouble).to(pixels.options()).view({1, channels, 1, 1});
}

LocalTarget pixel_target(const Tensor& pixels, const Json& meta) {
  const auto image =
      pixels * by_channel(meta, "image_std", 1, pixels) + by_channel(meta, "image_mean", 0, pixels);
  const auto [low, high] = image.aminmax();
  if (low.item<double>() < -kPixelSlack || high.item<double>() > 1 + kPixelSlack)
    fail(
        "step rule 'local': expected pixels in [0, 1], found {:.3g} to {:.3g}; how they were normalized is "
        "named by image_mean and image_std in the Spec's meta",
        low.item<double>(), high.item<double>());
  LocalTarget target;
  target.x = image.clamp(0, 1).movedim(1, -1).flatten(1, 2);
  target.layout.dims = {{"height", image.size(2)}, {"width", image.size(3)}};
  target.pixels = true;
  return target;
}

// Of tokens along one side of a target for each of an output.
Enlargement enlargement(const Layout& from, const Layout& to) {
  if (from.dims.size() != 2 || to.dims.size() != 2) return {};
  const auto times = [](int64_t few, int64_t many) { return std::max<int64_t>(1, (many + few - 1) / few); };
  return {times(from.dims[0].size, to.dims[0].size), times(from.dims[1].size, to.dims[1].size)};
}

}  // namespace

std::pair<double, double> LocalObjectiveOptions::weights(int64_t k, int64_t modules) const {
  const double r = modules > 2 ? static_cast<double>(k) / static_cast<double>(modules - 2) : 0;
  const double a = (1 - r) * reconstruct_first + r * reconstruct_last;
  return {target == "none" ? 0 : a, (1 - r) * task_first + r * task_last};
}

LocalTarget input_target(const Record& in, const Stream& stem, const Json& meta) {
  if (const auto pixels = in.find("pixel_values"); pixels != in.end())
    return pixel_target(pixels->second.detach(), meta);
  if (const auto features = in.find("input_features"); features != in.end())
    return {stem.compaction ? stem.compaction->align(features->second) : features->second, stem.layout};
  return {stem.x.detach(), stem.layout};
}

LocalObjective::LocalObjective(const Build& root, const TrainingRun& run,
                               const LocalObjectiveOptions& options, const LocalPlace& place,
                               std::pair<double, double> weights)
    : task_(run.task),
      options_(options),
      module_(place.module),
      reconstruct_(weights.first),
      weigh_task_(weights.second) {
  if (reconstruct_ == 0 && weigh_task_ == 0)
    fail("step rule 'local': module {} has no loss; give it a task term or a target", module_ + 1);
  if (reconstruct_ > 0) {
    Build child = root.at("reconstructor");
    child.out = Axis{"", place.read.width};
    const auto by = enlargement(place.output.layout, place.read.layout);
    reconstructor_ = Registry<Reconstructor>::make(options.reconstructor, child, by);
  }
  if (weigh_task_ > 0) make_head(root, place);
}

void LocalObjective::make_head(const Build& root, const LocalPlace& place) {
  auto spec = options_.head;
  const auto schema = Registry<Head>::find(spec.type, "step rule 'local'").schema();
  // An option that the head has and nobody chose.
  const auto fill = [&](const char* name, Json value) {
    if (schema.contains(name) && !spec.options.contains(name)) spec.options[name] = std::move(value);
  };
  const Json needs = task_.model_needs(), own = needs.value("head", Json::object());
  if (own.contains("classes")) fill("classes", own["classes"]);
  if (needs.contains("vocab")) root.global_axis("vocab", needs["vocab"].get<int64_t>());
  fill("embedding", options_.objective == "contrast");
  fill("last_stage", place.last_stage);
  fill("dimensions", std::max<size_t>(1, place.output.layout.dims.size()));
  Build child = root.at("head");
  head_ = Registry<Head>::make(child, spec);
}

Tensor LocalObjective::reconstruction(Context& ctx, const Stream& output, const LocalTarget& read) {
  const auto y = reconstructor_->forward(ctx, output.x, read.layout);
  if (y.sizes() != read.x.sizes())
    fail(
        "step rule 'local': the reconstruction of module {} has the shape [{}], what it should give back "
        "[{}]",
        module_ + 1, fmt::join(y.sizes().vec(), ", "), fmt::join(read.x.sizes().vec(), ", "));
  if (read.pixels) return pixel_distance(y, read.x);
  const auto target = options_.target_norm == "token" ? normalized_tokens(read.x) : read.x;
  return feature_distance(y, target, read.layout.keep(read.x.size(1)));
}

// Already divided by the targets of the whole batch.
Tensor LocalObjective::task_term(Context& ctx, const Stream& output, const Batch& part, int64_t targets) {
  Record out;
  head_->forward(ctx, output.x, out);
  restore_tokens(output.compaction.get(), *head_, out);
  if (options_.objective == "ce") return task_.objective(out, part, 1 / static_cast<double>(targets));
  const auto z = out.find("embedding");
  if (z == out.end())
    fail("step rule 'local': the contrastive loss reads 'embedding', which head '{}' does not write",
         options_.head.type);
  const double share = static_cast<double>(part.target_count()) / static_cast<double>(targets);
  return supervised_contrastive(z->second, part.targets, options_.temperature) * share;
}

Tensor LocalObjective::loss(Context& ctx, const Stream& output, const LocalTarget& read, const Batch& part,
                            int64_t targets, Terms& terms) {
  const LayoutScope scope(ctx, output.layout);
  Tensor loss;
  const auto add = [&](const Tensor& term, double weight, double& value) {
    value = term.item<double>();
    loss = loss.defined() ? loss + term * weight : term * weight;
  };
  if (reconstructor_) {
    const double share = static_cast<double>(part.target_count()) / static_cast<double>(targets);
    add(reconstruction(ctx, output, read) * share, reconstruct_, terms.reconstruction);
  }
  if (head_) add(task_term(ctx, output, part, targets), weigh_task_, terms.task);
  return loss;
}

}  // namespace formwork
