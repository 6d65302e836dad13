// What the conformance suites build: every registered part with options that make it small. A part without
// an entry is built from its defaults; an entry may leave out suites that its idea excludes, with the reason.
#pragma once
#include <map>
#include <set>
#include <string>
#include <vector>

#include "formwork/core/options.h"

namespace formwork::conformance {

struct Sample {
  std::string part;                            // JSON
  std::map<std::string, std::string> without;  // suite -> reason
};

// Keyed "kind/name"; several samples of one part cover its options.
inline const std::multimap<std::string, Sample>& samples() {
  static const std::multimap<std::string, Sample> table = {
      {"mixers/attention", {R"({"type": "attention", "heads": 4, "kv_heads": 2, "bias": true})", {}}},
      {"mixers/attention", {R"({"type": "attention", "heads": 2, "fused": false, "out_bias": true})", {}}},
      {"mixers/attention", {R"({"type": "attention", "heads": 2, "window": 2, "qk_norm": "rms_norm"})", {}}},
      {"mixers/attention",
       {R"({"type": "attention", "heads": 2, "memory": "memory"})",
        {{"packing", "packed rows have no memory each"}, {"along", "lines of a grid have no memory each"}}}},
      {"channels/experts",
       {R"({"type": "experts", "experts": 3, "hidden": 4, "bias": true, "renormalize": false})", {}}},
      {"channels/experts", {R"({"type": "experts", "experts": 3, "hidden": 4, "gated": false})", {}}},
      {"channels/experts",
       {R"({"type": "experts", "experts": 3, "hidden": 4, "gate": "gmm", "router_hidden": 5})", {}}},
      {"mixers/mamba", {R"({"type": "mamba", "d_state": 3})", {}}},
      {"mixers/mamba",
       {R"({"type": "mamba", "d_state": 2, "complex": true, "discretization": "zoh", "selective_c": false})",
        {}}},
      {"mixers/stick_breaking", {R"({"type": "stick_breaking", "heads": 2})", {}}},
      {"mixers/stick_breaking",
       {R"({"type": "stick_breaking", "heads": 2, "modules": 3, "active": 2, "router_hidden": 5})", {}}},
      {"channels/mlp", {R"({"type": "mlp", "hidden": 6})", {}}},
      {"channels/gated_mlp", {R"({"type": "gated_mlp", "hidden": 6, "bias": true})", {}}},
      {"linear/int4", {R"({"type": "int4", "group": 8})", {}}},
      {"wiring/looped",
       {R"({"type": "looped", "layers": [{"type": "pre", "mixer": {"type": "attention", "heads": 2},
           "channel": {"type": "mlp", "hidden": 6}}]})",
        {}}},
  };
  return table;
}

// Wirings join parts, so what they join is the same for all that have no sample.
inline const char* wiring_body() {
  return R"("mixer": {"type": "attention", "heads": 2}, "channel": {"type": "mlp", "hidden": 6})";
}

}  // namespace formwork::conformance
