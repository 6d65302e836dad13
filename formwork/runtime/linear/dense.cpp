// One matrix in float32, bfloat16 or float16, multiplied as it is stored, in float32.
#include "formwork/kernels/cpu/few_rows.h"
#include "formwork/runtime/linear/matrix.h"
#include "formwork/runtime/linear_map.h"

namespace formwork::runtime {
namespace {

class Dense final : public LinearMap {
 public:
  struct Options {
    void describe(Fields&) {}
  };

  Dense(Scope& scope, const Need& need, const Options&)
      : LinearMap(scope, need), weight_(Matrix::stored(scope, "weight", need)) {}

  void rows(Pass&, const int64_t* ids, int64_t count, float* y) const override {
    for (int64_t i = 0; i < count; ++i) weight_.row(ids[i], y + i * inputs());
  }

 protected:
  void product(Pass& pass, int64_t rows, In x, Out y, int64_t bank, const float* bias) const override {
    weight_.multiply(pass, rows, x, y, bank, bias);
  }

 private:
  Matrix weight_;
};

FORMWORK_PART(LinearMap, Dense, "dense", "one matrix, multiplied as it is");

}  // namespace
}  // namespace formwork::runtime
