// Studies: recipes that measure a published claim again. A study is a row of named stages (train, transform,
// evaluate); it registers itself under its system's name with
//
//   FORMWORK_PART(Study, SliceGptStudy, "slicegpt", "one line of help");
//
// What a stage found is kept in a cache folder, so that a run that was stopped goes on where it was, and a
// trained model is shared by every recipe that asks for the same one.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "formwork/core/factory.h"
#include "formwork/models/model.h"
#include "formwork/report/chart.h"
#include "formwork/studies/claim.h"
#include "formwork/tasks/task.h"
#include "formwork/train/train_options.h"

namespace formwork {

struct StudyOptions {
  double scale = 1;
  int64_t seed = 0;
  std::string data_root, cache;
  bool fresh = false, quiet = false;
  void describe(Fields& f) {
    f.number("scale", scale, "factor on the steps and samples of every stage; 1: the recipe's own", 1e-6,
             1e3);
    f.integer("seed", seed, "of data, weights and draws");
    f.text("data_root", data_root, "folder with the data sets; by default that of FORMWORK_DATA");
    f.text("cache", cache, "folder of trained models and finished stages; by default ~/.cache/formwork");
    f.flag("fresh", fresh, "measure again what the cache has; trained models are kept");
    f.flag("quiet", quiet, "say nothing while it runs");
  }
};

// A trained model with its task. `key` stands for everything that decided it.
struct Trained {
  std::shared_ptr<Model> model;
  std::unique_ptr<Task> task;
  std::string key;
};

// A student that a distillation made of a teacher, with the models after each stage, by the stages' names.
struct Distilled {
  std::shared_ptr<Model> student;
  std::map<std::string, std::shared_ptr<Model>> after;
  std::string key;
};

class StudyContext {
 public:
  // Fills in the folders that the options leave open. Throws where there is none to take.
  StudyContext(std::string study, const StudyOptions& options);

  const StudyOptions& options() const { return options_; }
  uint64_t seed() const { return static_cast<uint64_t>(options_.seed); }
  // count * scale, rounded, and not below `least`.
  int64_t scaled(int64_t count, int64_t least = 1) const;
  // A file of the data sets. Throws, naming the whole path, where it is missing.
  std::string data(const std::string& path) const;
  std::string data_folder(const std::string& path) const;  // likewise

  // A model of this Spec trained on this task, from the cache where it was trained before. Steps are as given
  // (not scaled again), options.seed is added to the run's. A training that was cut goes on from its last
  // checkpoint.
  Trained trained(const std::string& name, Spec spec, const PartSpec& task, TrainOptions options);

  // The student that a registered distillation makes of a trained teacher on its task; kept, and gone on
  // with, as trained models are.
  Distilled distilled(const std::string& name, const Trained& teacher, const PartSpec& method);

  // What `work` gives, or gave in an earlier run with the same settings, seed, scale and sources.
  Json stage(const std::string& name, const Json& settings, const std::function<Json()>& work);
  // Finished so far: {"stage", "seconds", "from cache"} each.
  const std::vector<Json>& stages() const { return stages_; }

  // A chart for the recipe's page, made of what the stages found.
  void draw(Chart chart) { charts_.push_back(std::move(chart)); }
  const std::vector<Chart>& charts() const { return charts_; }

 private:
  std::filesystem::path data_path(const std::string& path) const;
  void note(const std::string& stage, double seconds, bool cached);
  std::string study_;
  StudyOptions options_;
  std::filesystem::path cache_;
  std::vector<Json> stages_;
  std::vector<Chart> charts_;
};

class Study {
 public:
  static const char* kind() { return "studies"; }
  static const char* noun() { return "recipe"; }
  virtual ~Study() = default;
  virtual std::vector<Claim> run(StudyContext& ctx) = 0;
};

template <>
class Registry<Study> : public Factory<Study> {};

}  // namespace formwork
