#include "formwork/explain/probe.h"

namespace formwork {

FORMWORK_KIND(Probe);

}  // namespace formwork
