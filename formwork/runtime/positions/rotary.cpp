// Rotary positions (Su et al., "RoFormer", 2021), with the frequencies that the model stores.
#include <cmath>

#include "formwork/positions/position_options.h"
#include "formwork/positions/rotary_scaling.h"
#include "formwork/runtime/positions/mixer_position.h"

namespace formwork::runtime {
namespace {

class Rotary final : public MixerPosition {
 public:
  using Options = RotaryOptions;

  Rotary(Scope& scope, const Options& options) : halves_(options.layout == "half") {
    const Scope child = scope.at("scaling");
    scaling_ = Registry<RotaryScaling>::make(child.resolve(options.scaling), {child.path()});
    turned_ = static_cast<int64_t>(static_cast<double>(scope.in.size) * options.fraction);
    if (turned_ % 2)
      fail("{}: {} turned channels of {} do not make pairs; choose head_width or fraction", scope.path(),
           turned_, scope.in.size);
    const float* all =
        scope.fixed("inverse_frequency", {scope.in.size}, initial(scope.in.size, options.base));
    for (int64_t i = 0; i < turned_ / 2; ++i) frequencies_.push_back(all[halves_ ? i : 2 * i]);
  }

  int64_t turned() const override { return turned_; }
  bool halves() const override { return halves_; }
  void table(int64_t position, float* cosines, float* sines) const override {
    const auto pairs = static_cast<int64_t>(frequencies_.size());
    // The factors stand where the cosines come.
    if (scaling_->stretches()) scaling_->stretch(position, turned_, cosines);
    const auto amplitude = static_cast<float>(scaling_->amplitude());
    for (int64_t i = 0; i < pairs; ++i) {
      float angle = frequencies_[static_cast<size_t>(i)] * static_cast<float>(position);
      if (scaling_->stretches()) angle *= cosines[i];
      cosines[i] = std::cos(angle) * amplitude, sines[i] = std::sin(angle) * amplitude;
    }
  }

 private:
  // One frequency a channel, equal within a pair, 0 where nothing turns.
  std::vector<float> initial(int64_t channels, double base) const {
    std::vector<float> all(static_cast<size_t>(channels));
    const auto frequencies = scaling_->frequencies(turned_, base);
    const size_t pairs = frequencies.size();
    for (size_t i = 0; i < 2 * pairs && i < all.size(); ++i)
      all[i] = static_cast<float>(frequencies[halves_ ? i % pairs : i / 2]);
    return all;
  }

  bool halves_;
  int64_t turned_;
  std::unique_ptr<RotaryScaling> scaling_;
  std::vector<float> frequencies_;
};

FORMWORK_PART(MixerPosition, Rotary, "rotary",
              "queries and keys turn by an angle that grows with the position");

}  // namespace
}  // namespace formwork::runtime
