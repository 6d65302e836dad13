#include "formwork/positions/fused.h"

#include "formwork/kernels/cpu/rotary.h"

namespace formwork {
namespace {

// A turned copy of x.
Tensor turned(const Tensor& x, const Tensor& cosines, const Tensor& sines, bool halves, bool back) {
  auto y = x.clone(at::MemoryFormat::Contiguous);
  turn_in_place(y, cosines, sines, halves, back);
  return y;
}

class FusedRotary : public torch::autograd::Function<FusedRotary> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* saved, const Tensor& x, const Tensor& cosines,
                        const Tensor& sines, bool halves) {
    saved->save_for_backward({cosines, sines});
    saved->saved_data["halves"] = halves;
    return turned(x, cosines, sines, halves, false);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* saved,
                                                 const torch::autograd::variable_list& gradients) {
    const auto tables = saved->get_saved_variables();
    return {turned(gradients[0], tables[0], tables[1], saved->saved_data["halves"].toBool(), true), Tensor(),
            Tensor(), Tensor()};
  }
};

}  // namespace

void turn_in_place(const Tensor& x, const Tensor& cosines, const Tensor& sines, bool halves, bool back) {
  Rotary shape{};
  shape.batch = x.size(0), shape.tokens = x.size(1), shape.heads = x.size(2);
  shape.width = 2 * cosines.size(2);
  shape.batch_stride = x.stride(0), shape.token_stride = x.stride(1), shape.head_stride = x.stride(2);
  shape.table_batch = cosines.size(0) == 1 ? 0 : cosines.stride(0);
  shape.layout = halves ? RotaryLayout::halves : RotaryLayout::interleaved;
  const auto kernel = back ? rotary_inverse<float> : rotary_forward<float>;
  kernel(shape, cosines.const_data_ptr<float>(), sines.const_data_ptr<float>(), x.mutable_data_ptr<float>());
}

Tensor fused_rotary(const Tensor& x, const Tensor& cosines, const Tensor& sines, bool halves) {
  return FusedRotary::apply(x, cosines.contiguous(), sines.contiguous(), halves);
}

}  // namespace formwork
