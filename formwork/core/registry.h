// The registry of parts: every kind of part is found by name and built by a Build, which may put another part
// in its place (the Spec's "parts" table). See core/factory.h for how a part registers itself.
#pragma once
#include "formwork/core/build.h"
#include "formwork/core/factory.h"

namespace formwork {

template <class... Arguments>
std::string place_of_options(const std::string&, const Build& build, const Arguments&...) {
  return build.path();
}

template <class Kind>
class Registry : public Factory<Kind, Build&> {
 public:
  static std::unique_ptr<Kind> make(Build& build, const PartSpec& spec) {
    const PartSpec chosen = build.resolve(spec);
    build.inventory().types[build.path()] = chosen.type;
    return Registry::find(chosen.type, build.path()).make(build, chosen.options);
  }
};

}  // namespace formwork
