// Any text as a Spec: refused, or one that is written and read again unchanged; and as a model of the
// runtime.
#include "formwork/core/spec.h"

#include "formwork/core/json_text.h"
#include "formwork/runtime/model.h"
#include "fuzz/fuzz.h"

namespace formwork {

void fuzz(std::string_view text) {
  const auto spec = Spec::from_json(parse_json<Json>(text, "spec"), "spec");
  require(Spec::from_json(spec.to_json(), "spec").to_json() == spec.to_json());
  const runtime::Model model(spec, {});
}

}  // namespace formwork
