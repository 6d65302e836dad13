#include "formwork/train/schedules/schedule.h"

#include <numbers>

namespace formwork {

FORMWORK_KIND(Schedule);

double Schedule::factor(int64_t step, int64_t steps) const {
  const int64_t warmup = std::min(warmup_ < 0 ? steps / 20 : warmup_, steps);
  if (step < warmup) return static_cast<double>(step + 1) / static_cast<double>(warmup);
  return after_warmup(static_cast<double>(step - warmup) /
                      static_cast<double>(std::max<int64_t>(1, steps - warmup)));
}

namespace {

void describe_warmup(Fields& f, int64_t& warmup) {
  f.integer("warmup", warmup, "steps in which the rate grows from 0; -1: a twentieth of the run", -1);
}

class Constant final : public Schedule {
 public:
  struct Options {
    int64_t warmup = -1;
    void describe(Fields& f) { describe_warmup(f, warmup); }
  };
  explicit Constant(const Options& options) : Schedule(options.warmup) {}

 protected:
  double after_warmup(double) const override { return 1; }
};

struct DecayOptions {
  int64_t warmup = -1;
  double floor = 0.1;
  void describe(Fields& f) {
    describe_warmup(f, warmup);
    f.number("floor", floor, "the last rate as a share of the highest", 0, 1);
  }
};

// Cosine decay (Loshchilov and Hutter, 2017): floor + (1 - floor) (1 + cos(pi done)) / 2.
class Cosine final : public Schedule {
 public:
  using Options = DecayOptions;
  explicit Cosine(const Options& options) : Schedule(options.warmup), floor_(options.floor) {}

 protected:
  double after_warmup(double done) const override {
    return floor_ + (1 - floor_) * (1 + std::cos(std::numbers::pi * done)) / 2;
  }

 private:
  double floor_;
};

class Linear final : public Schedule {
 public:
  using Options = DecayOptions;
  explicit Linear(const Options& options) : Schedule(options.warmup), floor_(options.floor) {}

 protected:
  double after_warmup(double done) const override { return 1 - (1 - floor_) * done; }

 private:
  double floor_;
};

// Warm-up, stable, decay: constant, then linear over the last share (Hu et al., 2024, "MiniCPM").
class WarmupStableDecay final : public Schedule {
 public:
  struct Options {
    int64_t warmup = -1;
    double floor = 0, decay = 0.2;
    void describe(Fields& f) {
      describe_warmup(f, warmup);
      f.number("floor", floor, "the last rate as a share of the highest", 0, 1);
      f.number("decay", decay, "share of the steps after the warm-up in which the rate falls", 0, 1);
    }
  };
  explicit WarmupStableDecay(const Options& options) : Schedule(options.warmup), options_(options) {}

 protected:
  double after_warmup(double done) const override {
    if (done <= 1 - options_.decay) return 1;
    return 1 - (1 - options_.floor) * (done - (1 - options_.decay)) / options_.decay;
  }

 private:
  Options options_;
};

FORMWORK_PART(Schedule, Constant, "constant", "the same rate after the warm-up");
FORMWORK_PART(Schedule, Cosine, "cosine", "half a cosine down to the floor");
FORMWORK_PART(Schedule, Linear, "linear", "a straight line down to the floor");
FORMWORK_PART(Schedule, WarmupStableDecay, "wsd", "warm-up, stable, then a straight line down");

}  // namespace
}  // namespace formwork
