// The published members of the family: each is what a mixer with fast weights is told by default.
//
//   dla              deep linear attention: Hebbian, one token
//   swla             the same over a sliding window
//   omeganet         Omega rule by gradient descent
//   deeptransformer  dla with the features of the exponential kernel
//   dot              Omega rule with the features of the exponential kernel
//   atlas            Omega rule by Muon
//   atlas_plus_plus  atlas with a gated memory (Atlas++)
//
// Source: ATLAS: Learning to Optimally Memorize the Context at Test Time (2025), sections 3 to 5. Window and
// chunk are ours.
#include "formwork/mixers/fast_weights/fast_weights.h"

namespace formwork {
namespace {

template <class Defaults>
class Member final : public FastWeights {
 public:
  using Options = Defaults;
  Member(Build& build, const Options& options) : FastWeights(build, options) {}
};

struct DlaOptions : FastWeightOptions {
  DlaOptions() { loss = "hebbian", window = 1, optimizer = "gd"; }
};
struct SwlaOptions : DlaOptions {
  SwlaOptions() { window = 16; }
};
struct OmegaNetOptions : FastWeightOptions {
  OmegaNetOptions() { optimizer = "gd"; }
};
struct DeepTransformerOptions : DlaOptions {
  DeepTransformerOptions() { features = "exp"; }
};
struct DotOptions : OmegaNetOptions {
  DotOptions() { features = "exp"; }
};
struct AtlasPlusPlusOptions : FastWeightOptions {
  AtlasPlusPlusOptions() { memory = "gated"; }
};

using Dla = Member<DlaOptions>;
using Swla = Member<SwlaOptions>;
using OmegaNet = Member<OmegaNetOptions>;
using DeepTransformer = Member<DeepTransformerOptions>;
using Dot = Member<DotOptions>;
using Atlas = Member<FastWeightOptions>;
using AtlasPlusPlus = Member<AtlasPlusPlusOptions>;

FORMWORK_PART(TokenMixer, Dla, "dla", "fast weights: Hebbian, one token at a time (deep linear attention)");
FORMWORK_PART(TokenMixer, Swla, "swla", "fast weights: Hebbian over a sliding window");
FORMWORK_PART(TokenMixer, OmegaNet, "omeganet", "fast weights: Omega rule by gradient descent");
FORMWORK_PART(TokenMixer, DeepTransformer, "deeptransformer",
              "fast weights: Hebbian, with the features of the exponential kernel");
FORMWORK_PART(TokenMixer, Dot, "dot", "fast weights: Omega rule with the features of the exponential kernel");
FORMWORK_PART(TokenMixer, Atlas, "atlas", "fast weights: Omega rule by Muon");
FORMWORK_PART(TokenMixer, AtlasPlusPlus, "atlas_plus_plus",
              "fast weights: Omega rule by Muon, with a gated memory");

}  // namespace
}  // namespace formwork
