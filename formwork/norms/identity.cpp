// No norm: y = x, for wirings that ask for one where a model has none (the first layer of ModernBERT).
#include "formwork/norms/norm.h"

namespace formwork {
namespace {

class IdentityNorm final : public Norm {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  IdentityNorm(Build& build, const Options& options) : Norm(build) {
    enter(build, "identity", options_json(options), nullptr, nullptr);
  }

 protected:
  Tensor normalize(Context&, const Tensor& x) override { return x; }
};

FORMWORK_PART(Norm, IdentityNorm, "identity", "x as it is");

}  // namespace
}  // namespace formwork
