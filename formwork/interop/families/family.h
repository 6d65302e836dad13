// Families: the architectures of Hugging Face transformers. A family turns a config.json into a Spec, says by
// weight rules which tensors its parameters are made of, and, where it can, writes the config of a model that
// did not come from there. Its registered name is the config's "model_type". One small file a family.
#pragma once
#include "formwork/core/factory.h"
#include "formwork/core/spec.h"
#include "formwork/interop/families/config.h"
#include "formwork/interop/families/weight_rules.h"

namespace formwork {

// Whether a file holds a tensor whose name matches a pattern.
using Stored = std::function<bool(const std::string& pattern)>;

class Family {
 public:
  static const char* kind() { return "families"; }
  static const char* noun() { return "family"; }
  virtual ~Family() = default;
  // The classes of transformers that it reads, as "architectures" names them; the usual one first.
  virtual std::vector<std::string> architectures() const = 0;
  // The model as a Spec; reads from the config every key that it understands.
  virtual Spec spec(const Config& config, const std::string& architecture) const = 0;
  // Changes the Spec to what a file holds where the config leaves that open (poolers that were not saved).
  virtual void fit(Spec& spec, const Stored& stored) const {}
  virtual void rules(WeightRules& rules) const = 0;
  virtual TheirNames names() const = 0;
  // A config that describes this model (by its Spec with every option in force), as far as the family can
  // tell; the caller reads it back and compares. Null where the family writes none of its own.
  virtual Json config(const Json& spec) const { return nullptr; }
};

template <>
class Registry<Family> : public Factory<Family> {};

// Families have no options.
struct NoFamilyOptions {
  void describe(Fields&) {}
};

// The family and the architecture that a config names. An Error for an unknown one names the nearest and
// what differs.
struct FamilyChoice {
  std::string name, architecture;
  std::unique_ptr<Family> family;
};
FamilyChoice family_of(const Config& config);

// The Spec of a config, checked to the last key.
Spec spec_of(const Config& config);

// A "pooler" head with a map becomes "hidden" where the file holds no "*pooler.dense.weight".
void leave_out_pooler(Spec& spec, const Stored& stored);

// How many classes a config's labels make, and labels for so many ("id2label").
int64_t label_count(const Config& config);
Json label_names(int64_t classes);

}  // namespace formwork
