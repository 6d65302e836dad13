// How the mixers of a layer are joined to the residual stream: a list of steps, as in formwork/wiring.
#pragma once
#include "formwork/runtime/linear_map.h"
#include "formwork/wiring/layer_options.h"

namespace formwork::runtime {

// The residual stream [rows, width], and as much memory beside it.
struct Stream {
  float *x, *spare;
  int64_t width;
};

class Step {
 public:
  virtual ~Step() = default;
  virtual std::unique_ptr<State> make_state(const StateOptions& options) const = 0;
  virtual void run(Pass& pass, State* state, Stream& stream) const = 0;
};

// Steps as another program runs them, for parts that have no runtime form.
class OtherSteps {
 public:
  struct Placed {
    std::unique_ptr<Step> step;
    Axis out;  // of the stream after it
  };
  virtual ~OtherSteps() = default;
  // What the runtime's own form of a step would leave out; empty: nothing.
  virtual std::string why_not(const std::string& path) const = 0;
  virtual Placed step(const std::string& path, const std::string& why) const = 0;
  // The steps below a layer's path, in their order. Throws NoRuntimeForm where a loop repeats one of them.
  virtual std::vector<Placed> below(const std::string& path, const std::string& why) const = 0;
};

class Wiring {
 public:
  static const char* kind() { return "runtime wiring"; }
  static const char* noun() { return "wiring"; }
  virtual ~Wiring() = default;
  virtual std::vector<const Step*> steps() const = 0;
  virtual Axis out() const = 0;  // of the stream after the last step
};

// A wiring of steps of its own, one after the other.
class StepList : public Wiring {
 public:
  std::vector<const Step*> steps() const final {
    std::vector<const Step*> list;
    for (const auto& step : steps_) list.push_back(step.get());
    return list;
  }
  Axis out() const final { return out_; }

 protected:
  explicit StepList(Axis in) : out_(std::move(in)) {}

  Axis out_;  // of the stream after the steps so far
  std::vector<std::unique_ptr<Step>> steps_;
};

}  // namespace formwork::runtime

namespace formwork {
template <>
class Registry<runtime::Wiring> : public runtime::Parts<runtime::Wiring> {};
}  // namespace formwork

namespace formwork::runtime {

// A layer's wiring or, where that has no runtime form, the steps that the program has in its place.
std::unique_ptr<Wiring> make_wiring(Scope& scope, const PartSpec& spec);

}  // namespace formwork::runtime
