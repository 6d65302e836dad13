// Facets: optional second views of a part. A facet is an interface that a part's class derives from beside
// its kind, so a part that offers none pays nothing; probes ask for one by type and learn by name what is
// missing.
//
//   class Attention final : public TokenMixer, public CostFacet, public MatrixFacet { ... };
//   auto view = require_facet<MatrixFacet>(part, "layers.0.mixer").matrix(ctx, x);
//
// Facets: `cost` (core/part.h), `matrix`, and `split` (core/split.h).
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "formwork/core/error.h"
#include "formwork/core/part.h"
#include "formwork/core/split.h"

namespace formwork {

// Facet `matrix`: a token mixer written as matrices over tokens. For the input x of the call,
//
//   mixer(x) = finish(weights values)          weights [B, H, T, T], values [B, H, T, d], finish -> [B, T,
//   out]
//
// with H heads (or channels with a matrix of their own). weights[b, h, t, s] says how much token t takes from
// token s; it depends on x (attention, selective scans) or not. Differentiable. A caller may change weights
// or values before it finishes.
struct TokenMatrix {
  Tensor weights, values;
  std::function<Tensor(const Tensor& mixed)> finish;  // mixed [B, H, T, d]; valid while ctx and the part live
};

class MatrixFacet {
 public:
  virtual ~MatrixFacet() = default;
  // x [B, T, in] with ctx.layout as in forward, but for packed rows, which are refused.
  virtual TokenMatrix matrix(Context& ctx, const Tensor& x) = 0;
};

template <class Facet>
inline constexpr const char* facet_name = nullptr;
template <>
inline constexpr const char* facet_name<CostFacet> = "cost";
template <>
inline constexpr const char* facet_name<MatrixFacet> = "matrix";
template <>
inline constexpr const char* facet_name<SplitFacet> = "split";
template <>
inline constexpr const char* facet_name<SplitModelFacet> = "split";

// Names of the facets that a part offers.
std::vector<std::string> facets_of(const Part& part);

// A facet that may change the part's state, or null.
template <class Facet>
Facet* facet(Part& part) {
  return dynamic_cast<Facet*>(&part);
}

// The facet, or an error that names it, the part (by its path and, where the caller knows it, its type) and
// the facets that the part offers.
template <class Facet>
Facet& require_facet(Part& part, const std::string& path, const std::string& type = "") {
  if (auto* found = facet<Facet>(part)) return *found;
  std::string offered;
  for (const auto& name : facets_of(part)) offered += (offered.empty() ? "" : ", ") + name;
  fail("{}: expected a part with the facet '{}', found {} that offers: {}", path, facet_name<Facet>,
       type.empty() ? "one" : "'" + type + "'", offered.empty() ? "none" : offered);
}

}  // namespace formwork
