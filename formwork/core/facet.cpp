#include "formwork/core/facet.h"

namespace formwork {

std::vector<std::string> facets_of(const Part& part) {
  std::vector<std::string> names;
  const auto add = [&]<class Facet>(const Facet* found) {
    if (found) names.emplace_back(facet_name<Facet>);
  };
  add(facet<CostFacet>(part));
  add(facet<MatrixFacet>(part));
  add(facet<SplitFacet>(part));
  add(facet<SplitModelFacet>(part));
  return names;
}

}  // namespace formwork
