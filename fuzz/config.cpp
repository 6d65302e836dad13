// Any text as a config.json of Hugging Face's: refused, or a Spec that is written and read again unchanged;
// and, where all its numbers are small, the tensors that its model wants, and the rules that make them.
#include "formwork/interop/families/config.h"

#include "formwork/core/json_text.h"
#include "formwork/interop/families/family.h"
#include "formwork/runtime/model.h"
#include "fuzz/fuzz.h"

namespace formwork {
namespace {

bool is_small(const Json& json) {
  if (json.is_number()) return json.get<double>() <= 64;
  return !json.is_structured() || std::all_of(json.begin(), json.end(), is_small);
}

}  // namespace

void fuzz(std::string_view text) {
  const Config config(parse_json<Json>(text, "config"), "config");
  const auto choice = family_of(config);
  const auto spec = spec_of(config);
  require(Spec::from_json(spec.to_json(), "spec").to_json() == spec.to_json());
  if (!is_small(config.json())) return;
  const auto parameters = runtime::Model::parameters(spec);
  WeightRules rules(parameters);
  choice.family->rules(rules);
  for (const auto& rule : rules.list())
    require(rule.op.split({Dtype::float32, rules.param(rule.ours).shape()}).size() == rule.theirs.size());
}

}  // namespace formwork
