// No features but the key itself: phi(x) = x.
#include "formwork/mixers/fast_weights/feature_map.h"

namespace formwork {
namespace {

class Identity final : public FeatureMap {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  Identity(Build& build, const Options&) : FeatureMap(build.in) {}
  Tensor of(Context&, const Tensor& x) const override { return x; }
  double concentration() const override { return 1 / static_cast<double>(features().asked()); }
};

FORMWORK_PART(FeatureMap, Identity, "identity", "the key itself");

}  // namespace
}  // namespace formwork
