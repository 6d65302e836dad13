// Masks over a weight W [out, in], and the tensors in which a masked map stores what they keep.
#pragma once
#include <map>
#include <string>

#include "formwork/core/tensor.h"

namespace formwork {

// True for all but the floor(sparsity * count) lowest scores [out, in], counted over the matrix or in each
// row.
Tensor keep_highest(const Tensor& scores, double sparsity, bool by_row);
// True for the n highest of every m neighbours along `in`, which m must divide.
Tensor keep_n_of_m(const Tensor& scores, int64_t n, int64_t m);

// "values" [kept] in row order and "bitmap" [out, ceil(in / 8)], the first of eight in the low bit.
std::map<std::string, Tensor> unstructured_tensors(const Tensor& weight, const Tensor& mask);
// "values" [out, in / m, n] and "index" [out, in / m, n] uint8, ascending places in [0, m).
std::map<std::string, Tensor> n_of_m_tensors(const Tensor& weight, const Tensor& mask, int64_t n, int64_t m);

}  // namespace formwork
