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

class Wiring {
 public:
  static const char* kind() { return "runtime wiring"; }
  static const char* noun() { return "wiring"; }
  virtual ~Wiring() = default;
  virtual std::vector<const Step*> steps() const = 0;
  virtual Axis out() const = 0;  // of the stream after the last step
};

}  // namespace formwork::runtime

namespace formwork {
template <>
class Registry<runtime::Wiring> : public runtime::Parts<runtime::Wiring> {};
}  // namespace formwork
