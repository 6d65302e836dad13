// A cast: the models of one run by role. One of them trains; the others are read, in evaluation mode, without
// gradients and in their own precision, so that targets carry neither dropout nor rounding.
//
// Every batch gets a pass (CastPass), in which each model has a passage: its segments, run once, as far as
// somebody asks. Objectives (train/objective.h) are written on passages alone.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "formwork/core/facet.h"
#include "formwork/models/mixing_sites.h"
#include "formwork/tasks/task.h"

namespace formwork {

// Models by role ("teacher", "critic", ..).
class Cast {
 public:
  Cast& set(const std::string& role, std::shared_ptr<Model> model);
  // Fails, naming the roles that there are.
  const std::shared_ptr<Model>& at(const std::string& role) const;
  const std::map<std::string, std::shared_ptr<Model>>& models() const { return models_; }

 private:
  std::map<std::string, std::shared_ptr<Model>> models_;
};

// What one model makes of one batch.
class Passage {
 public:
  // `training`: the context of the model that trains; null: a context of its own, nothing is trained.
  Passage(Model& model, const Record& inputs, Context* training);

  Model& model() const { return model_; }
  int64_t segments() const { return last_; }
  // The stream "residual" before a segment; segments(): after the last.
  const Stream& before(int64_t segment);
  // The model's output.
  const Record& out();

  // What this model makes of a stream that may be another's.
  // Segments [first, last).
  Stream run(int64_t first, int64_t last, const Stream& from);
  // The mixer alone: mixer(norm(x)), [B, T, out].
  Tensor mixed(const MixingSite& site, const Stream& from);
  // Its matrices over tokens [B, H, T, T]; fails where the mixer has no facet `matrix`.
  Tensor matrices(const MixingSite& site, const Stream& from);

 private:
  class Reading;
  Tensor in_step(const MixingSite& site, const Stream& from,
                 const std::function<Tensor(const Tensor&)>& work);

  Model& model_;
  const Record& inputs_;
  Context own_;
  Context* ctx_;
  bool trains_;
  int64_t last_;
  std::vector<Streams> streams_;
  Record out_;
};

class CastPass {
 public:
  // `others` and the model that trains, under `role`, over a part of an update whose rows are `whole`.
  CastPass(const Cast& others, const std::string& role, Model& model, Context& ctx, const Batch& part,
           const BatchSize& whole);

  // A model's passage. Fails, naming the roles that there are.
  Passage& of(const std::string& role);
  const Batch& part() const { return part_; }
  const BatchSize& whole() const { return whole_; }

 private:
  const Batch& part_;
  const BatchSize whole_;
  std::map<std::string, Passage> passages_;
};

// The sites of `model` whose mixers have a parameter that trains.
std::vector<MixingSite> trained_sites(const Model& model);

}  // namespace formwork
