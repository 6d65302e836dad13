// Distillation: a student learns from a teacher in named stages. A method says which student it makes of a
// teacher and what each stage minimizes and trains; running it is the same for all: every stage is a training
// run of its own with a folder of its own,
//
//   FOLDER/1-NAME, FOLDER/2-NAME, ..: checkpoints, metrics and the model after the stage;   FOLDER: the
//   student
//
// so a run that was stopped at any instant goes on with `resume`, on CPU bit for bit.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "formwork/core/factory.h"
#include "formwork/train/cast_task.h"
#include "formwork/train/trainer.h"

namespace formwork {

struct DistilStudent {
  std::shared_ptr<Model> model;
  std::vector<std::string> fresh;  // paths of the parts that are not the teacher's
};

struct DistilStage {
  std::string name;
  std::vector<PartSpec> objectives;  // summed
  std::vector<std::string> train;    // names or patterns of the parameters that train; empty: all
  TrainOptions options;              // folder, resume and quiet are filled in
};

class Distillation {
 public:
  static const char* kind() { return "distillations"; }
  static const char* noun() { return "distillation"; }
  virtual ~Distillation() = default;
  virtual DistilStudent student(const std::shared_ptr<Model>& teacher, uint64_t seed) const = 0;
  // In their order. `task` is prepared.
  virtual std::vector<DistilStage> stages(const DistilStudent& student, const Task& task) const = 0;
};

template <>
class Registry<Distillation> : public Factory<Distillation> {};

struct DistilOptions {
  std::string folder;
  int64_t seed = 0, stop_after = 0;
  bool resume = false, quiet = false;
  void describe(Fields& f) {
    f.text("folder", folder, "where stages, checkpoints and the student are kept; empty: nowhere");
    f.integer("seed", seed, "of new weights and of the order of the data");
    f.integer("stop_after", stop_after,
              "save and stop after this many updates of all stages, to be resumed; 0: run to the end");
    f.flag("resume", resume, "go on from the folder's newest checkpoint");
    f.flag("quiet", quiet, "show no progress");
  }
};

struct DistilResult {
  std::shared_ptr<Model> student;
  bool finished = false;
  Json stages = Json::array();  // {"stage", "steps", "evaluation", ..} of those that are done
};

// Trains the student that `method` makes of the teacher; the teacher stays as it is. Throws as the trainer
// does, and where the folder has a run with other settings or another teacher.
DistilResult distil(const std::shared_ptr<Model>& teacher, Task& task, const PartSpec& method,
                    const DistilOptions& options);

// The folder of the stage number `index`, from 1, in that of the run.
std::string stage_folder(const std::string& folder, size_t index, const std::string& name);

}  // namespace formwork
