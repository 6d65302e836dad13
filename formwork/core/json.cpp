// The one copy of the JSON class (see json.h).
#include "formwork/core/json.h"

template class nlohmann::basic_json<nlohmann::ordered_map>;
