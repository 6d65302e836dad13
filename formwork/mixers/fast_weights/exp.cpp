// The features of the exponential kernel, phi*(x) = [1, x, x (x) x / sqrt(2!), ..], phi*(q) . phi*(k) =
// exp(q . k). There is no end to them, so a weight that reads them is kept by its coefficients:
//
//   W = W_0 on the linear features x, and sum_i c_i phi*(k_i)^T over the keys so far
//   W phi*(x) = W_0 x + sum_i c_i exp(k_i . x)
//
// A gradient at key k_i, left phi*(k_i)^T, adds `left` to c_i. Columns of a weight are those of W_0 and c;
// their basis has the inner products [[I, K^T], [K, exp(K K^T)]]. The state grows with every token, as the
// cache of softmax attention does.
#include "formwork/mixers/fast_weights/feature_map.h"

namespace formwork {
namespace {

class Exponential final : public FeatureMap {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  Exponential(Build& build, const Options&) : FeatureMap(build.in) {}

  Tensor of(Context&, const Tensor& x) const override { return x; }
  bool by_kernel() const override { return true; }
  double concentration() const override { return 1; }  // along the constant
  Features of_segment(const Tensor& keys, const Tensor& queries, const KeyStore& store,
                      bool metric) const override {
    Features all;
    all.keys = columns(keys, store), all.queries = columns(queries, store);
    const int64_t linear = features().size, count = linear + store.keys.size(2);
    all.writes = at::one_hot(store.places + linear, count)
                     .to(keys.scalar_type())
                     .unsqueeze(1)
                     .expand({-1, keys.size(1), -1, -1});
    if (metric) all.metric = inner_products(store);
    return all;
  }

 private:
  static Tensor columns(const Tensor& x, const KeyStore& store) {
    return at::cat({x, x.matmul(store.keys.transpose(-2, -1)).exp()}, -1);
  }
  Tensor inner_products(const KeyStore& store) const {
    const auto unit = at::eye(features().size, store.keys.options().requires_grad(false));
    const auto linear = at::cat(
        {unit.expand({store.keys.size(0), store.keys.size(1), -1, -1}), store.keys.transpose(-2, -1)}, -1);
    return at::cat({linear, columns(store.keys, store)}, -2);
  }
};

FORMWORK_PART(FeatureMap, Exponential, "exp", "the features of the exponential kernel, by its values alone");

}  // namespace
}  // namespace formwork
