// No position encoding: order is left to the mixers.
#include "formwork/positions/position.h"

namespace formwork {

FORMWORK_KIND(Position);

namespace {

class NoPosition final : public Position {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  NoPosition(Build&, const Options&) {}
};

FORMWORK_PART(Position, NoPosition, "none", "no position encoding");

}  // namespace
}  // namespace formwork
