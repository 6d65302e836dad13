#include "formwork/mixers/attention/windows.h"

namespace formwork {

Windows::Sides Windows::padded() const {
  const auto whole = [&](size_t d) { return (map[d] + side[d] - 1) / side[d] * side[d]; };
  return {whole(0), whole(1)};
}

Tensor Windows::cut(const Tensor& x) const {
  const auto whole = padded();
  auto tokens = x.unflatten(1, {map[0], map[1]});
  if (!divide()) tokens = at::constant_pad_nd(tokens, {0, 0, 0, whole[1] - map[1], 0, whole[0] - map[0]});
  if (shift != Sides{0, 0}) tokens = at::roll(tokens, {-shift[0], -shift[1]}, {1, 2});
  return tokens.unflatten(2, {-1, side[1]})
      .unflatten(1, {-1, side[0]})
      .transpose(2, 3)  // [B, rows, columns, h, w, C]
      .reshape({x.size(0) * count(), this->tokens(), x.size(2)});
}

Tensor Windows::join(const Tensor& windows) const {
  const auto whole = padded();
  const int64_t rows = whole[0] / side[0], columns = whole[1] / side[1], batch = windows.size(0) / count();
  auto tokens = windows.reshape({batch, rows, columns, side[0], side[1], windows.size(2)})
                    .transpose(2, 3)
                    .reshape({batch, whole[0], whole[1], windows.size(2)});
  if (shift != Sides{0, 0}) tokens = at::roll(tokens, {shift[0], shift[1]}, {1, 2});
  return tokens.narrow(1, 0, map[0]).narrow(2, 0, map[1]).flatten(1, 2);
}

Tensor Windows::neighbours() const {
  if (shift == Sides{0, 0}) return {};
  const auto whole = padded();
  // Tokens that entered on the other side are in the last `shift` rows (columns), and in one window with
  // those from which the border parts them.
  const auto entered = [&](size_t d) { return at::arange(whole[d], at::kLong) >= whole[d] - shift[d]; };
  const auto region = (entered(0).to(at::kLong) * 2).unsqueeze(1) + entered(1).to(at::kLong).unsqueeze(0);
  Windows flat = *this;
  flat.map = whole, flat.shift = {0, 0};
  const auto labels = flat.cut(region.view({1, -1, 1})).squeeze(2);  // [count, tokens]
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

}  // namespace formwork
