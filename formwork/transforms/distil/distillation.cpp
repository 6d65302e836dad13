#include "formwork/transforms/distil/distillation.h"

#include <filesystem>

#include "formwork/core/content_hash.h"
#include "formwork/core/file.h"
#include "formwork/transforms/edit.h"

namespace formwork {

FORMWORK_KIND(Distillation);

namespace {

namespace fs = std::filesystem;

constexpr const char* kSettingsFile = "distillation.json";
constexpr const char* kResultFile = "result.json";

// A number for the weights of a model.
std::string weights_hash(const Model& model) {
  uint64_t hash = 0;
  for (const auto& [name, tensor] : model_tensors(model)) {
    const auto dense = tensor.contiguous();
    hash = content_hash(name, hash);
    hash = content_hash({static_cast<const char*>(dense.const_data_ptr()), dense.nbytes()}, hash);
  }
  return hash_text(hash);
}

// The model with these parameters training and no others.
std::shared_ptr<Model> with_trained(const std::shared_ptr<Model>& model,
                                    const std::vector<std::string>& names) {
  Edit edit(*model);
  if (!names.empty())
    edit.train_only(names);
  else if (!edit.thaw())
    return model;
  return edit.finish();
}

// Enters the run into its folder, or finds the same one there.
void claim_folder(const DistilOptions& options, const Json& settings) {
  if (options.folder.empty()) {
    if (options.resume) fail("distil: nothing to resume from without a folder");
    if (options.stop_after > 0)
      fail("distil: a run that stops after {} updates needs a folder to be resumed from", options.stop_after);
    return;
  }
  const auto file = fs::path(options.folder) / kSettingsFile;
  if (!fs::exists(file)) {
    if (options.resume && !fs::exists(options.folder))
      fail("distil: there is no folder '{}' to resume from", options.folder);
    fs::create_directories(options.folder);
    write_atomically(file, settings.dump(2) + "\n");
    return;
  }
  if (!options.resume) fail("'{}' has a distillation; resume it, or choose another folder", options.folder);
  const auto before = Json::parse(read_file(file));
  for (const auto& [name, value] : settings.items())
    if (before.value(name, Json()) != value)
      fail("{}: the run to resume had {} = {}, this one has {}; start another in a new folder", file.string(),
           name, before.value(name, Json()).dump(), value.dump());
}

class DistilRun {
 public:
  DistilRun(Task& task, const Cast& others, const DistilOptions& options)
      : task_(task), others_(others), options_(options) {}

  // Takes the student through a stage; false: the run stops in it.
  bool stage(std::shared_ptr<Model>& student, DistilStage stage, size_t index, Json& done) {
    const auto folder = options_.folder.empty() ? "" : stage_folder(options_.folder, index, stage.name);
    const auto result_file = fs::path(folder) / kResultFile;
    Json result;
    if (!folder.empty() && fs::exists(result_file)) {
      student = load_model(folder);
      result = Json::parse(read_file(result_file));
    } else {
      student = with_trained(student, stage.train);
      if (!train_stage(*student, stage, folder, result)) return false;
    }
    updates_ += stage.options.steps;
    result["stage"] = stage.name;
    done.push_back(std::move(result));
    return options_.stop_after == 0 || updates_ < options_.stop_after;
  }

 private:
  bool train_stage(Model& student, DistilStage& stage, const std::string& folder, Json& result) {
    CastTask task(task_, others_, stage.objectives);
    auto& options = stage.options;
    options.folder = folder, options.quiet = options_.quiet;
    options.seed += options_.seed;
    if (!folder.empty()) fs::create_directories(folder), options.resume = true;
    if (options_.stop_after > 0 && updates_ + options.steps > options_.stop_after)
      options.stop_after = options_.stop_after - updates_;
    const auto trained = train(student, task, options);
    result = trained.to_json();
    return trained.step == options.steps;
  }

  Task& task_;
  const Cast& others_;
  const DistilOptions& options_;
  int64_t updates_ = 0;
};

}  // namespace

std::string stage_folder(const std::string& folder, size_t index, const std::string& name) {
  return (fs::path(folder) / fmt::format("{}-{}", index, name)).string();
}

DistilResult distil(const std::shared_ptr<Model>& teacher, Task& task, const PartSpec& method,
                    const DistilOptions& options) {
  const auto made = Registry<Distillation>::make(method);
  task.prepare(teacher->inventory().spec.meta);
  claim_folder(options, {{"method", Registry<Distillation>::in_force(method)},
                         {"seed", options.seed},
                         {"teacher", weights_hash(*teacher)}});
  const auto student = made->student(teacher, static_cast<uint64_t>(options.seed));
  const auto stages = made->stages(student, task);
  DistilResult result;
  result.student = student.model;
  const Cast others = Cast().set(kTeacher, teacher);
  DistilRun run(task, others, options);
  size_t done = 0;
  while (done < stages.size() && run.stage(result.student, stages[done], done + 1, result.stages)) ++done;
  result.finished = result.stages.size() == stages.size();
  if (!result.finished) return result;
  result.student = with_trained(result.student, {});
  if (options.folder.empty()) return result;
  save_model(*result.student, options.folder);
  write_atomically(fs::path(options.folder) / kResultFile, Json{{"stages", result.stages}}.dump(2) + "\n");
  return result;
}

}  // namespace formwork
