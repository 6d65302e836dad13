// Routers: the gates of modules that stay are those of the plain path, whatever was removed beside them.
#include "runtime/fixtures.h"

namespace formwork {
namespace {

TEST(Router, RemovedModulesKeepTheirShareOfTheSoftmax) {
  for (const char* gate : {"linear", "mlp", "gmm"}) {
    auto spec = small_spec();
    spec["model"]["layers"]["pattern"][0]["channel"] = {
        {"type", "experts"}, {"experts", 3}, {"hidden", 8}, {"gate", gate}, {"renormalize", false}};
    const auto ids = some_ids(9);
    const auto whole = plain_logits(*noisy_float(spec), ids);
    spec["axes"] = {{"layers.0.channel.removed", 2}};
    const auto model = noisy_float(spec);
    const auto expected = plain_logits(*model, ids);
    const InRuntime runtime(model);
    auto session = runtime.session();
    const auto found = at::tensor(all_logits(session, 0, ids)).view_as(expected);
    EXPECT_LT((found - expected).abs().max().item<double>(), 1e-4) << gate;
    EXPECT_GT((whole - expected).abs().max().item<double>(), 1e-2) << gate << ": the removed rows do nothing";
  }
}

}  // namespace
}  // namespace formwork
