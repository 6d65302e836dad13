// One of ggml's block formats, multiplied as a GGUF file holds it.
#include "formwork/kernels/cpu/ggml_block.h"

#include <algorithm>

#include "formwork/linear/map_options.h"
#include "formwork/runtime/linear_map.h"

namespace formwork::runtime {
namespace {

class GgmlBlockMap final : public LinearMap {
 public:
  using Options = GgmlBlockOptions;

  GgmlBlockMap(Scope& scope, const Need& need, const Options& options)
      : LinearMap(scope, need), weight_(stored(scope, options)) {}

  void rows(Pass&, const int64_t* ids, int64_t count, float* y) const override {
    for (int64_t i = 0; i < count; ++i) ggml_decode(weight_, ids[i], 1, y + i * inputs());
  }

 protected:
  void product(Pass& pass, int64_t rows, In x, Out y, int64_t, const float* bias) const override {
    const Arena::Frame frame(pass.arena);
    const bool direct = y.stride == outputs() && !y.add;
    float* made = direct ? y.data : pass.arena.take(outputs());
    float* work = pass.arena.take(ggml_work(weight_));
    if (rows == 0) return;
    ggml_linear(x.data, rows, x.stride, weight_, bias, made, work);
    if (direct) return;
    for (int64_t r = 0; r < rows; ++r) {
      const float* from = made + r * outputs();
      float* to = y.data + r * y.stride;
      if (y.add)
        std::transform(from, from + outputs(), to, to, std::plus<>());
      else
        std::copy_n(from, outputs(), to);
    }
  }

 private:
  GgmlMatrix stored(const Scope& scope, const Options& options) const {
    require_single("ggml_block");
    const auto* layout = find_ggml_layout(options.format);
    GgmlMatrix matrix{layout->type, outputs(), inputs()};
    const Shape shape = {outputs(), matrix.row_blocks(), layout->bytes};
    matrix.blocks = static_cast<const uint8_t*>(scope.values("blocks", shape, Dtype::uint8));
    return matrix;
  }

  GgmlMatrix weight_;
};

FORMWORK_PART(LinearMap, GgmlBlockMap, "ggml_block",
              "one of ggml's block formats, multiplied as it is stored");

}  // namespace
}  // namespace formwork::runtime
