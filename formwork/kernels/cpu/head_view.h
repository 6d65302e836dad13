// One of the tensors q, k, v, o of attention: [batch, heads, tokens, width] as strides in elements, the width
// dense. A slice of a fused [B, T, 3, H, D] projection needs no copy.
#pragma once
#include <cstdint>

namespace formwork {

template <class T>
struct HeadView {
  T* data = nullptr;
  std::int64_t batch = 0, head = 0, token = 0;

  T* at(std::int64_t b, std::int64_t h, std::int64_t t) const {
    return data + b * batch + h * head + t * token;
  }
};

}  // namespace formwork
