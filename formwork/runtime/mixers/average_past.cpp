// The average of the past: y_t = (1 / t) sum_{j<=t} x_j (Zhang, Xiong and Su, 2018). A sequence keeps the
// sum.
#include "formwork/runtime/mixers/recurrent_memory.h"
#include "formwork/runtime/part.h"

namespace formwork::runtime {
namespace {

class AveragePast final : public Mixer {
 public:
  struct Options {
    void describe(Fields&) {}
  };

  AveragePast(Scope& scope, const Options&) : width_(scope.in.size) {
    if (scope.in.name != scope.out.name)
      fail("{}: averaging keeps its channels, but reads axis '{}' and writes '{}'", scope.path(),
           scope.in.name, scope.out.name);
  }
  std::unique_ptr<State> make_state(const StateOptions& options) const override {
    return std::make_unique<RecurrentMemory>(width_, options);
  }
  void run(Pass& pass, State* state, In x, Out y) const override {
    for (const auto& sequence : pass.sequences) {
      float* sum = static_cast<RecurrentMemory*>(state)->change(sequence.row, sequence.start);
      for (int64_t t = 0; t < sequence.count; ++t) {
        const float* from = x.data + (sequence.first + t) * x.stride;
        float* to = y.data + (sequence.first + t) * y.stride;
        const auto seen = static_cast<float>(sequence.start + t + 1);
        for (int64_t c = 0; c < width_; ++c) {
          sum[c] += from[c];
          to[c] = y.add ? to[c] + sum[c] / seen : sum[c] / seen;
        }
      }
    }
  }

 private:
  int64_t width_;
};

FORMWORK_PART(Mixer, AveragePast, "average_past", "the running mean of all tokens so far");

}  // namespace
}  // namespace formwork::runtime
