// One optimizer step over flat arrays: p the parameters, g their gradient, multiplied by gradient_scale when
// it is read (clipping and loss scaling cost no pass of their own). T is float or double.
#pragma once
#include <cstdint>

namespace formwork {

// Decoupled weight decay. Source: "Decoupled Weight Decay Regularization" (Loshchilov and Hutter, 2019).
//   p *= 1 - rate * decay;  m += (1 - beta1) (g - m);  v = beta2 v + (1 - beta2) g^2
//   p -= rate / (1 - beta1^step) * m / (sqrt(v / (1 - beta2^step)) + epsilon)
struct AdamW {
  double rate, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, decay = 0;
  std::int64_t step = 1;  // the first step is 1
  double gradient_scale = 1;
};
template <class T>
void adamw_step(const AdamW& options, std::int64_t n, T* p, const T* g, T* m, T* v);

//   g += decay * p;  m = momentum m + g;  p -= rate * (nesterov ? g + momentum m : m)
struct Sgd {
  double rate, momentum = 0, decay = 0;
  bool nesterov = false;
  double gradient_scale = 1;
};
template <class T>
void sgd_step(const Sgd& options, std::int64_t n, T* p, const T* g, T* m);

// Source: "Symbolic Discovery of Optimization Algorithms" (Chen et al., 2023).
//   p = (1 - rate * decay) p - rate * sign(beta1 m + (1 - beta1) g);  m = beta2 m + (1 - beta2) g
struct Lion {
  double rate, beta1 = 0.9, beta2 = 0.99, decay = 0;
  double gradient_scale = 1;
};
template <class T>
void lion_step(const Lion& options, std::int64_t n, T* p, const T* g, T* m);

// The sum of x^2, in double across blocks; the same number whatever the count of threads.
template <class T>
double sum_of_squares(std::int64_t n, const T* x);

}  // namespace formwork
