#include "formwork/train/precision.h"

namespace formwork {

void describe_precision(Fields& f, std::string& precision) {
  f.choice("precision", precision, {"float32", "bf16"},
           "of matrix products: float32 (the parameters' own), or bf16 by autocast");
}

}  // namespace formwork
