// No norm: y = x, for wirings that ask for one where a model has none (the first layer of ModernBERT).
#include "formwork/core/split.h"
#include "formwork/norms/norm.h"

namespace formwork {
namespace {

class IdentityNorm final : public Norm, public SplitFacet {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  IdentityNorm(Build& build, const Options& options) : Norm(build) {
    enter(build, "identity", options_json(options), nullptr, nullptr);
  }

  Split carry(SplitPass& pass, const Split& x) override { return pass.tap(output_tap(), x); }

 protected:
  Tensor normalize(Context&, const Tensor& x) override { return x; }
};

FORMWORK_PART(Norm, IdentityNorm, "identity", "x as it is");

}  // namespace
}  // namespace formwork
