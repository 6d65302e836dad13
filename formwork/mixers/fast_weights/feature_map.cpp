#include "formwork/mixers/fast_weights/feature_map.h"

namespace formwork {

FORMWORK_KIND(FeatureMap);

}  // namespace formwork
