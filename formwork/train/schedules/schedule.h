// Schedules: the factor on the learning rate at each step of a run.
#pragma once
#include "formwork/core/factory.h"

namespace formwork {

class Schedule {
 public:
  static const char* kind() { return "schedules"; }
  static const char* noun() { return "schedule"; }
  virtual ~Schedule() = default;
  // In [0, 1], for step 0 .. steps - 1.
  double factor(int64_t step, int64_t steps) const;

 protected:
  explicit Schedule(int64_t warmup) : warmup_(warmup) {}
  // After the warm-up: `done` in [0, 1) is the share of the remaining steps.
  virtual double after_warmup(double done) const = 0;

 private:
  int64_t warmup_;
};

template <>
class Registry<Schedule> : public Factory<Schedule> {};

}  // namespace formwork
