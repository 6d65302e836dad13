#include "formwork/norms/norm.h"

namespace formwork {

FORMWORK_KIND(Norm);

void Norm::enter(Build& build, const std::string& type, const Json& options, const Param* gain,
                 const Param* bias) const {
  build.inventory().norms.push_back(
      {build.path(), type, build.in.name, options, output_, gain ? gain->name : "", bias ? bias->name : ""});
}

}  // namespace formwork
