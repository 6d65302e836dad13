// Activation functions on rows of float32, alone or as the gate of a product. Sources: "Gaussian Error Linear
// Units" (Hendrycks and Gimpel, 2016); "Primer" (So et al., 2021) for the squared ReLU.
#pragma once
#include <cstdint>

namespace formwork {

enum class Elementwise { identity, relu, relu_squared, gelu, gelu_tanh, silu, sigmoid, tanh };

// y [rows, width] = f(x), dense; x [rows, width] with rows `stride` apart. Times `times`, laid out as x,
// unless it is null. gelu_tanh is x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)).
void elementwise(Elementwise function, std::int64_t rows, std::int64_t width, const float* x,
                 const float* times, std::int64_t stride, float* y);

}  // namespace formwork
