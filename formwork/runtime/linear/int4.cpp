// 4-bit codes with a scale and a zero for each group of inputs, multiplied as they are stored.
#include "formwork/kernels/cpu/int4.h"

#include "formwork/kernels/cpu/int4_rows.h"
#include "formwork/linear/map_options.h"
#include "formwork/runtime/linear_map.h"

namespace formwork::runtime {
namespace {

class Int4Map final : public LinearMap {
 public:
  using Options = Int4Options;

  Int4Map(Scope& scope, const Need& need, const Options& options)
      : LinearMap(scope, need), weight_(stored(scope, options)) {}

  void rows(Pass&, const int64_t* ids, int64_t count, float* y) const override {
    for (int64_t i = 0; i < count; ++i) int4_dequantize(weight_, ids[i], 1, y + i * inputs());
  }

 protected:
  void product(Pass& pass, int64_t rows, In x, Out y, int64_t, const float* bias) const override {
    const Arena::Frame frame(pass.arena);
    float* turned = pass.arena.take(weight_.padded);
    int4_product(weight_, {x.data, rows, x.stride, turned, bias, y.data, y.stride, y.add});
  }

 private:
  static const uint8_t* bytes(const Scope& scope, const char* suffix, const Shape& shape) {
    return static_cast<const uint8_t*>(scope.values(suffix, shape, Dtype::uint8));
  }

  Int4Rows stored(const Scope& scope, const Options& options) const {
    require_single("int4");
    const int64_t in = inputs(), out = outputs(), group = options.group, groups = (in + group - 1) / group;
    const auto shape =
        in % group ? std::vector<int64_t>{out, (in + 1) / 2} : std::vector<int64_t>{out, groups, group / 2};
    return int4_prepared({out, in, group, bytes(scope, "codes", shape), scope.floats("scale", {out, groups}),
                          bytes(scope, "zero", {out, groups})});
  }

  Int4Rows weight_;
};

FORMWORK_PART(LinearMap, Int4Map, "int4", "4-bit codes with a scale and a zero for each group of inputs");

}  // namespace
}  // namespace formwork::runtime
