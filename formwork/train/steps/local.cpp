// Local learning: a model is cut into K modules, each trained by a loss of its own, and no gradient passes a
// cut (Wang et al., "Revisiting Locally Supervised Learning: an Alternative to End-to-end Training"
// (InfoPro), 2021; "Local Learning on Transformers via Feature Reconstruction", 2022):
//
//   h_k = f_k(h_{k-1}), h_{k-1} held fixed;   L_k = a_k R_k + b_k C_k for k < K, L_K the task's objective
//
// Each module's backward pass runs before the next module does anything, so the activations of one module
// live at a time. What is attached to the cuts (a reconstructor, a head) is trained with the model and never
// part of it. Gradients are clipped for each module by itself, since a common norm would couple them.
#include <ATen/Parallel.h>

#include <future>

#include "formwork/train/objectives/supervised_contrastive.h"
#include "formwork/train/steps/local_objective.h"
#include "formwork/train/steps/module_owners.h"
#include "formwork/train/train_options.h"

namespace formwork {
namespace {

struct LocalStepOptions : LocalObjectiveOptions {
  int64_t modules = 0;
  Json cuts = Json::array();
  bool pipeline = false;
  void describe(Fields& f) {
    f.integer("modules", modules, "number of modules; 0: as `cuts` say, or 2", 0, 1 << 20);
    f.json(
        "cuts", cuts,
        "segments or layers to cut after, [\"layers.1\"]; []: where the modules' activations are balanced");
    f.flag("pipeline", pipeline,
           "modules work at once, each on another of the `accumulate` parts; the same gradients");
    LocalObjectiveOptions::describe(f);
  }
};

class LocalStep final : public StepRule {
 public:
  using Options = LocalStepOptions;

  LocalStep(const TrainingRun& run, const Options& options) : run_(run), options_(options) {
    place_modules();
    inventory_.seed = static_cast<uint64_t>(run.options.seed);
    inventory_.dtype = run.model.inventory().dtype;
    if (modules_.size() > 1) attach(survey_ ? *survey_ : survey_segments(run));
    survey_.reset();
    owners_.emplace(std::vector<const Inventory*>{&run.model.inventory(), &inventory_}, modules_);
  }

  Inventory* parts() override { return &inventory_; }
  StepLoss gradients(const TrainingStep& step, const Batch& batch) override;
  Clipped clip(FlatParameters& parameters, double most) override;

 private:
  // What one part of a step's rows carries from module to module.
  struct Pass {
    Batch rows;
    int64_t targets = 0;
    std::optional<TapBoard> board;
    Context ctx;
    Streams streams;
    LocalTarget read;  // what the next module gives back; undefined where nobody does
  };
  struct ModuleLoss {
    double loss = 0;
    LocalObjective::Terms terms;
  };
  struct Work {
    std::vector<Batch> parts;
    int64_t targets;
    std::vector<std::vector<ModuleLoss>> found;  // by part and module
  };

  void place_modules();
  void attach(const SegmentSurvey& survey);
  void warn_without_positives(const Batch& batch);
  std::unique_ptr<Pass> make_pass(const TrainingStep& step, const Work& work, size_t part) const;
  void run_in_turn(const TrainingStep& step, Work& work);
  void run_pipeline(const TrainingStep& step, Work& work);
  ModuleLoss run_module(const TrainingStep& step, size_t k, Pass& pass);
  Tensor module_loss(const TrainingStep& step, size_t k, Pass& pass, ModuleLoss& found);
  Tensor local_loss(size_t k, Pass& pass, ModuleLoss& found);
  void remember_input(Pass& pass) const;

  const TrainingRun& run_;
  Options options_;
  Inventory inventory_;  // of the auxiliary parts
  std::vector<LocalModule> modules_;
  std::vector<std::unique_ptr<LocalObjective>> objectives_;  // of all modules but the last
  std::optional<SegmentSurvey> survey_;
  std::optional<ModuleOwners> owners_;
  bool warned_ = false;
};

void LocalStep::place_modules() {
  const auto segments = run_.model.segments();
  if (!options_.cuts.is_array() || !std::all_of(options_.cuts.begin(), options_.cuts.end(),
                                                [](const Json& cut) { return cut.is_string(); }))
    fail("step rule 'local': option cuts: expected a list of names, found {}", options_.cuts.dump());
  const auto names = options_.cuts.get<std::vector<std::string>>();
  const int64_t asked = options_.modules, named = static_cast<int64_t>(names.size()) + 1;
  if (!names.empty() && asked > 0 && asked != named)
    fail("step rule 'local': {} cuts make {} modules, but modules is {}", names.size(), named, asked);
  if (!names.empty()) {
    modules_ = modules_between(segments, named_cuts(segments, names));
  } else if (const int64_t count = asked > 0 ? asked : 2; count == 1) {
    modules_ = modules_between(segments, {});
  } else {
    survey_ = survey_segments(run_);
    modules_ = modules_between(segments, balanced_cuts(segments, survey_->bytes, count));
  }
}

void LocalStep::attach(const SegmentSurvey& survey) {
  const auto batch = run_.task.training_batch(1, inventory_.seed, 0);
  const auto count = static_cast<int64_t>(modules_.size());
  const bool sees = batch.inputs.count("pixel_values") > 0;
  if (options_.target == "image" && !sees)
    fail("step rule 'local': the target 'image' needs pixel_values, which this task does not give");
  LocalBorder input = survey.borders[0];
  if (sees) {
    const auto& pixels = batch.inputs.at("pixel_values");
    input.width = pixels.size(1);
    input.layout.dims = {{"height", pixels.size(2)}, {"width", pixels.size(3)}};
  } else if (const auto features = batch.inputs.find("input_features"); features != batch.inputs.end()) {
    input.width = features->second.size(-1);
  }
  for (int64_t k = 0; k + 1 < count; ++k) {
    const auto& module = modules_[static_cast<size_t>(k)];
    LocalPlace place;
    place.module = k;
    place.output = survey.borders[static_cast<size_t>(module.last)];
    const bool whole = options_.target == "image" || k == 0;
    place.read = whole ? input : survey.borders[static_cast<size_t>(module.first)];
    const auto tokens = [](const LocalBorder& border) {
      int64_t product = 1;
      for (const auto& dim : border.layout.dims) product *= dim.size;
      return product;
    };
    place.last_stage = tokens(place.output) == tokens(survey.borders.back());
    Build root(inventory_, fmt::format("local.{}", k + 1), {}, {});
    root.in = root.out = root.stream(root.name("stream"), place.output.width);
    root.depth = 1;
    objectives_.push_back(
        std::make_unique<LocalObjective>(root, run_, options_, place, options_.weights(k, count)));
  }
}

void LocalStep::warn_without_positives(const Batch& batch) {
  if (warned_ || objectives_.empty() || options_.objective != "contrast" || has_positives(batch.targets))
    return;
  warned_ = true;
  fmt::print(
      stderr,
      "formwork: warning: no two rows of a batch have one label, so its contrastive loss is 0; take larger "
      "batches\n");
}

std::unique_ptr<LocalStep::Pass> LocalStep::make_pass(const TrainingStep& step, const Work& work,
                                                      size_t part) const {
  auto pass = std::make_unique<Pass>();
  pass->rows = work.parts[part], pass->targets = work.targets;
  // Visits of taps are counted pass by pass, and in a pipeline several passes are open.
  if (options_.pipeline) pass->board.emplace(run_.model.make_board());
  pass->ctx = step.context(static_cast<int64_t>(part), pass->board ? &*pass->board : nullptr);
  return pass;
}

// What the first module reads, where some module gives it back.
void LocalStep::remember_input(Pass& pass) const {
  if (std::none_of(objectives_.begin(), objectives_.end(), [](const auto& o) { return o->reconstructs(); }))
    return;
  pass.read = input_target(pass.rows.inputs, pass.streams.begin()->second, run_.model.spec().meta);
}

Tensor LocalStep::local_loss(size_t k, Pass& pass, ModuleLoss& found) {
  const auto& stream = pass.streams.begin()->second;
  if (!stream.x.requires_grad())
    fail("step rule 'local': module {} ({}) has a loss of its own, but nothing in it is trained", k + 1,
         modules_[k].name);
  auto loss = objectives_[k]->loss(pass.ctx, stream, pass.read, pass.rows, pass.targets, found.terms);
  const double share = static_cast<double>(pass.rows.target_count()) / static_cast<double>(pass.targets);
  for (const auto& [name, term] : pass.ctx.auxiliary) loss = loss + term * share;
  return loss;
}

// Runs a module forward; its outputs are gone afterwards, but for the streams.
Tensor LocalStep::module_loss(const TrainingStep& step, size_t k, Pass& pass, ModuleLoss& found) {
  const PrecisionGuard precision(run_.options.precision, pass.rows.targets.device().type());
  auto& model = run_.model;
  if (k == 0) {
    pass.streams = model.start(pass.ctx, pass.rows.inputs);
    remember_input(pass);
  }
  model.run(pass.ctx, modules_[k].first, modules_[k].last, pass.streams);
  if (k + 1 < modules_.size()) return local_loss(k, pass, found);
  Record out;
  model.finish(pass.ctx, pass.streams, out);
  return step.objective(pass.ctx, out, pass.rows, pass.targets);
}

LocalStep::ModuleLoss LocalStep::run_module(const TrainingStep& step, size_t k, Pass& pass) {
  ModuleLoss found;
  auto loss = module_loss(step, k, pass, found);
  owners_->claim(loss, k);
  // The cut: what is behind it is held fixed.
  for (auto& [name, stream] : pass.streams) stream.x = stream.x.detach();
  pass.ctx.auxiliary.clear();
  if (k + 1 == modules_.size()) {
    pass.streams.clear();
  } else if (pass.read.x.defined() && options_.target == "features") {
    const auto& stream = pass.streams.begin()->second;
    pass.read = {stream.x, stream.layout};
  }
  loss.backward();
  found.loss = loss.item<double>();
  return found;
}

// Part by part, and of each module by module.
void LocalStep::run_in_turn(const TrainingStep& step, Work& work) {
  for (size_t part = 0; part < work.parts.size(); ++part) {
    const auto pass = make_pass(step, work, part);
    for (size_t k = 0; k < modules_.size(); ++k) work.found[part][k] = run_module(step, k, *pass);
  }
}

// At tick t module k works on part t - k, so each module takes the parts in order.
void LocalStep::run_pipeline(const TrainingStep& step, Work& work) {
  const size_t parts = work.parts.size(), count = modules_.size();
  const int threads = at::get_num_threads();
  std::vector<std::unique_ptr<Pass>> passes(parts);
  for (size_t tick = 0; tick + 1 < parts + count; ++tick) {
    if (tick < parts) passes[tick] = make_pass(step, work, tick);
    std::vector<std::future<void>> working;
    for (size_t k = 0; k < std::min(count, tick + 1); ++k)
      if (const size_t part = tick - k; part < parts)
        working.push_back(std::async(std::launch::async, [&, k, part] {
          at::set_num_threads(threads);  // a new thread begins with another number
          work.found[part][k] = run_module(step, k, *passes[part]);
        }));
    for (auto& one : working) one.get();
    if (tick + 1 >= count) passes[tick + 1 - count].reset();
  }
}

StepLoss LocalStep::gradients(const TrainingStep& step, const Batch& batch) {
  warn_without_positives(batch);
  Work work{step.parts(batch), step.targets(batch), {}};
  work.found.assign(work.parts.size(), std::vector<ModuleLoss>(modules_.size()));
  if (options_.pipeline)
    run_pipeline(step, work);
  else
    run_in_turn(step, work);
  StepLoss result;
  for (size_t k = 0; k < objectives_.size(); ++k) {
    LocalObjective::Terms sum;
    for (const auto& part : work.found)
      sum.reconstruction += part[k].terms.reconstruction, sum.task += part[k].terms.task;
    result.terms.emplace_back(fmt::format("module_{}/reconstruction", k + 1), sum.reconstruction);
    result.terms.emplace_back(fmt::format("module_{}/task", k + 1), sum.task);
  }
  for (const auto& part : work.found) result.loss += part.back().loss;
  return result;
}

Clipped LocalStep::clip(FlatParameters& parameters, double most) {
  if (modules_.size() == 1) return StepRule::clip(parameters, most);
  Clipped clipped;
  clipped.norm = owners_->clip(parameters, most);
  return clipped;
}

FORMWORK_PART(StepRule, LocalStep, "local",
              "modules of the model, each trained by a loss of its own, one at a time");

}  // namespace
}  // namespace formwork
