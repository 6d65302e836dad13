#include "formwork/mixers/attention/windows.h"

#include "formwork/core/error.h"

namespace formwork {

Windows::Sides Windows::padded() const {
  const auto whole = [&](size_t d) { return (map[d] + side[d] - 1) / side[d] * side[d]; };
  return {whole(0), whole(1)};
}

namespace {

// places [H, W, ..], H and W in whole windows -> [count, tokens, ..].
Tensor in_windows(const Tensor& places, const Windows::Sides& side) {
  return places.unflatten(1, {-1, side[1]})
      .unflatten(0, {-1, side[0]})
      .transpose(1, 2)  // [rows, columns, h, w]
      .reshape({-1, side[0] * side[1]});
}

}  // namespace

Tensor Windows::order() const {
  const auto whole = padded();
  const auto places = at::arange(whole[0] * whole[1], at::kLong).view({whole[0], whole[1]});
  return in_windows(at::roll(places, {-shift[0], -shift[1]}, {0, 1}), side).flatten();
}

Tensor Windows::neighbours() const {
  if (shift == Sides{0, 0}) return {};
  const auto whole = padded();
  // Tokens that entered on the other side are in the last `shift` rows (columns), and in one window with
  // those from which the border parts them.
  const auto entered = [&](size_t d) {
    return (at::arange(whole[d], at::kLong) >= whole[d] - shift[d]).to(at::kLong);
  };
  const auto labels = in_windows(2 * entered(0).unsqueeze(1) + entered(1).unsqueeze(0), side);
  return labels.unsqueeze(2) == labels.unsqueeze(1);
}

Tensor Windows::offsets(const Sides& most) const {
  const auto between = [&](const Tensor& place, size_t d) {
    return place.unsqueeze(1) - place.unsqueeze(0) + most[d] - 1;
  };
  const auto row = at::arange(side[0], at::kLong).repeat_interleave(side[1]);
  const auto column = at::arange(side[1], at::kLong).repeat({side[0]});
  return between(row, 0) * (2 * most[1] - 1) + between(column, 1);
}

Windows::Sides map_of_tokens(const Context& ctx, int64_t tokens, int64_t dimensions,
                             const std::string& path) {
  std::vector<int64_t> sides;
  if (ctx.layout) {
    for (const auto& dim : ctx.layout->dims) sides.push_back(dim.size);
    if (ctx.layout->lengths.defined())
      fail("{}: rows of unequal lengths have no common map to cut into windows", path);
  }
  if (sides.empty()) sides = {tokens};
  if (static_cast<int64_t>(sides.size()) != dimensions)
    fail("{}: cuts windows of {} token dimensions, found {}{}", path, dimensions, sides.size(),
         sides.size() == 2 ? "; choose one with 'along'" : "");
  return sides.size() == 1 ? Windows::Sides{1, sides[0]} : Windows::Sides{sides[0], sides[1]};
}

namespace {

// The tokens of x [B, N, C] in another order [N] int64, a permutation: gradients are put in the inverse one,
// where that of an index would be added up place by place.
class Reorder final : public torch::autograd::Function<Reorder> {
 public:
  static Tensor forward(torch::autograd::AutogradContext* ctx, const Tensor& x, const Tensor& order,
                        const Tensor& inverse) {
    ctx->save_for_backward({order, inverse});
    return x.index_select(1, order);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* ctx,
                                                 torch::autograd::variable_list gradients) {
    const auto saved = ctx->get_saved_variables();
    return {Reorder::apply(gradients[0], saved[1], saved[0]), Tensor(), Tensor()};
  }
};

}  // namespace

WindowCut::WindowCut(const Windows& windows, const Windows::Sides& most, at::Device device)
    : windows_(windows),
      order_(windows.order().to(device)),
      inverse_(order_.argsort()),
      neighbours_(windows.neighbours()),
      offsets_(windows.offsets(most).to(device)) {
  if (!neighbours_.defined()) return;
  neighbours_ = neighbours_.to(device);
  barrier_ = at::zeros(neighbours_.sizes(), at::TensorOptions(at::kFloat).device(device))
                 .masked_fill_(neighbours_.logical_not(), -INFINITY);
}

Tensor WindowCut::cut(const Tensor& x) const {
  const auto& map = windows_.map;
  const auto whole = windows_.padded();
  const auto tokens = windows_.divide()
                          ? x
                          : at::constant_pad_nd(x.unflatten(1, {map[0], map[1]}),
                                                {0, 0, 0, whole[1] - map[1], 0, whole[0] - map[0]})
                                .flatten(1, 2);
  return Reorder::apply(tokens, order_, inverse_).view({-1, windows_.tokens(), x.size(2)});
}

Tensor WindowCut::join(const Tensor& windows) const {
  const auto& map = windows_.map;
  const auto whole = windows_.padded();
  const auto tokens =
      Reorder::apply(windows.reshape({-1, whole[0] * whole[1], windows.size(2)}), inverse_, order_);
  if (windows_.divide()) return tokens;
  return tokens.view({-1, whole[0], whole[1], windows.size(2)})
      .narrow(1, 0, map[0])
      .narrow(2, 0, map[1])
      .flatten(1, 2);
}

std::shared_ptr<const WindowCut> WindowCache::get(const Windows& windows, const Windows::Sides& most,
                                                  at::Device device) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!made_ || !(made_->windows() == windows) || made_->offsets().device() != device)
    made_ = std::make_shared<const WindowCut>(windows, most, device);
  return made_;
}

}  // namespace formwork
