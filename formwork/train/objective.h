// Objectives: what an update minimizes over a cast of models. A task's own objective knows one model and its
// targets; these compare models: with the teacher's matrices, hidden states, predictions.
#pragma once
#include "formwork/core/factory.h"
#include "formwork/train/cast.h"

namespace formwork {

struct ObjectiveOptions {
  double weight = 1;
  void describe(Fields& f) { f.number("weight", weight, "factor on this objective", 0, 1e9); }
};

class Objective {
 public:
  static const char* kind() { return "objectives"; }
  static const char* noun() { return "objective"; }
  virtual ~Objective() = default;

  // Throws, before anything is trained, where these models cannot be compared so.
  virtual void check(const Model& student, const Cast& others) const = 0;
  // The loss of a part: sums over its rows or tokens, divided by how many the whole update has. The student
  // is the model that trains.
  Tensor loss(CastPass& pass) const { return weight_ == 1 ? compare(pass) : compare(pass) * weight_; }

 protected:
  explicit Objective(const ObjectiveOptions& options) : weight_(options.weight) {}
  virtual Tensor compare(CastPass& pass) const = 0;

 private:
  double weight_;
};

template <>
class Registry<Objective> : public Factory<Objective> {};

// The roles of a distillation.
inline constexpr const char* kStudent = "student";
inline constexpr const char* kTeacher = "teacher";

}  // namespace formwork
