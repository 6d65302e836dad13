// Between LibTorch's tensors and those that need no LibTorch. Both ways are views that keep the memory alive.
#pragma once
#include <optional>

#include "formwork/core/raw.h"
#include "formwork/core/tensor.h"

namespace formwork {

at::ScalarType scalar_type(Dtype dtype);
// Nothing for the types that no file has (complex numbers of 16 bytes, quantized ones).
std::optional<Dtype> find_dtype(at::ScalarType type);

// A tensor in row order in the CPU's memory is viewed, any other copied. On the meta device: a shape. Throws
// Error for a type without a Dtype.
Raw raw_of(const Tensor& tensor);
// Pieces are joined into new memory; a shape is a tensor on the meta device.
Tensor tensor_of(const Raw& raw);

}  // namespace formwork
