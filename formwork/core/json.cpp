// The one copy of the JSON class (see precompiled.h).
#include "formwork/core/tensor.h"

template class nlohmann::basic_json<nlohmann::ordered_map>;
