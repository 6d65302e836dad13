#include "formwork/core/split.h"

#include "formwork/core/build.h"
#include "formwork/core/facet.h"

namespace formwork {

void SplitRules::describe(Fields& f) {
  f.choice("attention", attention, {"frozen", "split"},
           "weights of the whole input, or a share of them for the source's queries and keys");
  f.choice("bias", bias, {"exact", "published"},
           "how a bias is shared; published: 1e-8 in the denominators, which loses a little of it");
  f.choice("activation", activation, {"remainder", "shapley"},
           "f(x) - f(rest), or the mean of that and f(relevant) - f(0)");
  f.choice("sign_repair", sign_repair, {"none", "mlp", "all"},
           "where sides of opposite signs become one: nowhere, in channel mixers and after them, everywhere");
}

SplitPass::SplitPass(Context& ctx, const Inventory& inventory, const SplitRules& rules)
    : ctx_(ctx), inventory_(inventory), rules_(rules) {
  if (ctx.mode.train) fail("split: expected a pass in evaluation mode, found one in training mode");
  if (!inventory.attached.empty()) {
    const auto& tap = inventory.taps.name(inventory.attached.front().first);
    fail("{}: expected no parts attached to taps, which offer no facet 'split', found {}", tap,
         inventory.attached.size());
  }
}

void SplitPass::listen(Slot slot, Listener listener) { listeners_[slot].push_back(std::move(listener)); }

Split SplitPass::tap(Slot slot, Split x) {
  const auto found = listeners_.find(slot);
  if (found == listeners_.end()) return x;
  for (const auto& listener : found->second) x = listener(slot, x);
  return x;
}

Split SplitPass::through(Part& part, const std::string& path, const Split& x, const std::string& type) {
  const auto known = inventory_.types.find(path);
  const bool registered = type.empty() && known != inventory_.types.end();
  return require_facet<SplitFacet>(part, path, registered ? known->second : type).carry(*this, x);
}

Split SplitPass::share_bias(const Split& y, const Split& by, const Tensor& bias) const {
  if (!bias.defined()) return y;
  const auto relevant = by.relevant.abs(), rest = by.rest.abs(), both = relevant + rest;
  if (rules_.bias == "published") {
    constexpr double kFloor = 1e-8;
    const auto share = bias / (both + kFloor);
    return {y.relevant + relevant * share, y.rest + rest * share};
  }
  const auto weight = at::where(both > 0, relevant / both, at::zeros_like(both));
  return {y.relevant + bias * weight, y.rest + bias * (1 - weight)};
}

Split SplitPass::function(const Split& x, const std::function<Tensor(const Tensor&)>& f) const {
  const auto whole = f(x.whole()), rest = f(x.rest);
  if (rules_.activation != "shapley") return {whole - rest, rest};
  const auto relevant = ((whole - rest) + (f(x.relevant) - f(at::zeros_like(x.relevant)))) * 0.5;
  return {relevant, whole - relevant};
}

Split SplitPass::repaired(const Split& x, SplitPlace place) const {
  if (rules_.sign_repair != "all" && (rules_.sign_repair != "mlp" || place != SplitPlace::channel)) return x;
  const auto whole = x.whole(), opposite = x.relevant * x.rest < 0;
  const auto larger = x.relevant.abs() >= x.rest.abs(), nothing = at::zeros_like(whole);
  return {at::where(opposite, at::where(larger, whole, nothing), x.relevant),
          at::where(opposite, at::where(larger, nothing, whole), x.rest)};
}

}  // namespace formwork
