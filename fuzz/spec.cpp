// Any text as a Spec: refused with an Error, or one that is written and read again unchanged.
#include "formwork/core/spec.h"

#include "fuzz/fuzz.h"

namespace formwork {

void fuzz(std::string_view text) {
  const auto spec = Spec::from_json(parse_json(text, "spec"), "spec");
  const auto again = Spec::from_json(spec.to_json(), "spec");
  require(again.to_json() == spec.to_json());
}

}  // namespace formwork
