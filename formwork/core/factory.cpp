#include "formwork/core/factory.h"

namespace formwork {

std::vector<KindListing>& kind_listings() {
  static std::vector<KindListing> listings;
  return listings;
}

}  // namespace formwork
