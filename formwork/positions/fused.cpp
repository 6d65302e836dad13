#include "formwork/positions/fused.h"

#include "formwork/kernels/cpu/rotary.h"

namespace formwork {
namespace {

// A turned copy of x. The opposite turn is the gradient.
using Kernel = void (*)(const Rotary&, const float*, const float*, float*);

Tensor turned(Kernel kernel, const Tensor& x, const Tensor& cosines, const Tensor& sines, bool halves) {
  auto y = x.clone(at::MemoryFormat::Contiguous);
  Rotary shape{};
  shape.batch = y.size(0), shape.tokens = y.size(1), shape.heads = y.size(2);
  shape.width = 2 * cosines.size(2);
  shape.batch_stride = y.stride(0), shape.token_stride = y.stride(1), shape.head_stride = y.stride(2);
  shape.table_batch = cosines.size(0) == 1 ? 0 : cosines.stride(0);
  shape.layout = halves ? RotaryLayout::halves : RotaryLayout::interleaved;
  kernel(shape, cosines.const_data_ptr<float>(), sines.const_data_ptr<float>(), y.mutable_data_ptr<float>());
  return y;
}

class FusedRotary : public torch::autograd::Function<FusedRotary> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* saved, const Tensor& x, const Tensor& cosines,
                        const Tensor& sines, bool halves) {
    saved->save_for_backward({cosines, sines});
    saved->saved_data["halves"] = halves;
    return turned(rotary_forward<float>, x, cosines, sines, halves);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* saved,
                                                 const torch::autograd::variable_list& gradients) {
    const auto tables = saved->get_saved_variables();
    return {turned(rotary_inverse<float>, gradients[0], tables[0], tables[1],
                   saved->saved_data["halves"].toBool()),
            Tensor(), Tensor(), Tensor()};
  }
};

}  // namespace

Tensor fused_rotary(const Tensor& x, const Tensor& cosines, const Tensor& sines, bool halves) {
  return FusedRotary::apply(x, cosines.contiguous(), sines.contiguous(), halves);
}

}  // namespace formwork
