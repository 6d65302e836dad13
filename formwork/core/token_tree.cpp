#include "formwork/core/token_tree.h"

#include <cstring>

#include "formwork/core/error.h"

namespace formwork {
namespace {

// Token i of a row: one more than its parent's depth, and all that the parent sees beside itself.
void descend(const int64_t* parents, int64_t tokens, int64_t* depths, bool* sees) {
  for (int64_t i = 0; i < tokens; ++i) {
    const int64_t parent = parents[i];
    if (parent < -1 || parent >= i)
      fail("tree: expected the parent of token {} to be an earlier token or -1, found {}", i, parent);
    depths[i] = parent < 0 ? 0 : depths[parent] + 1;
    bool* row = sees + i * tokens;
    if (parent >= 0) std::memcpy(row, sees + parent * tokens, static_cast<size_t>(tokens));
    row[i] = true;
  }
}

}  // namespace

TokenTree::TokenTree(const Tensor& parents) {
  if (parents.dim() != 2 || parents.scalar_type() != at::kLong)
    fail("tree: expected parents [B, T] int64, found {} dimensions of {}", parents.dim(),
         c10::toString(parents.scalar_type()));
  const auto list = parents.to(at::kCPU).contiguous();
  const int64_t rows = list.size(0), tokens = list.size(1);
  auto depths = at::zeros({rows, tokens}, at::kLong), sees = at::zeros({rows, tokens, tokens}, at::kBool);
  for (int64_t b = 0; b < rows; ++b)
    descend(list.const_data_ptr<int64_t>() + b * tokens, tokens,
            depths.mutable_data_ptr<int64_t>() + b * tokens,
            sees.mutable_data_ptr<bool>() + b * tokens * tokens);
  parents_ = parents, depths_ = depths.to(parents.device()), sees_ = sees.to(parents.device());
}

Tensor TokenTree::row(int64_t tokens, at::Device device) {
  return at::arange(-1, tokens - 1, at::TensorOptions(at::kLong).device(device)).unsqueeze(0);
}

Tensor TokenTree::tokens_of(const Tensor& before, int64_t keys) const {
  return at::arange(keys, parents_.options()).unsqueeze(0) - before.view({-1, 1});
}

Tensor TokenTree::seen(const Tensor& before, int64_t keys) const {
  const auto token = tokens_of(before, keys);
  const int64_t rows = std::max(token.size(0), sees_.size(0));
  const auto index = token.clamp(0, size() - 1).unsqueeze(1).expand({rows, size(), keys});
  const auto inside = token.ge(0).logical_and(token.lt(size())).unsqueeze(1);
  return sees_.expand({rows, -1, -1})
      .gather(2, index)
      .logical_and(inside)
      .logical_or(token.lt(0).unsqueeze(1));
}

Tensor TokenTree::places(const Tensor& before, int64_t keys) const {
  const auto token = tokens_of(before, keys);
  const int64_t rows = std::max(token.size(0), depths_.size(0));
  const auto depth = depths_.expand({rows, -1}).gather(1, token.clamp(0, size() - 1).expand({rows, keys}));
  return at::where(token.lt(0), token, depth) + before.view({-1, 1});
}

}  // namespace formwork
