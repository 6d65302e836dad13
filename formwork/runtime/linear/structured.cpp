// Matrices with zeros: blocks on the diagonal, multiplied block by block; and masked ones, whose kept entries
// are put in their places when the model is built.
#include "formwork/linear/map_options.h"
#include "formwork/runtime/linear/matrix.h"
#include "formwork/runtime/linear_map.h"

namespace formwork::runtime {
namespace {

class BlockDiagonal final : public LinearMap {
 public:
  using Options = BlockDiagonalOptions;

  BlockDiagonal(Scope& scope, const Need& need, const Options& options)
      : LinearMap(scope, need), blocks_(options.blocks) {
    require_single("block_diagonal");
    if (inputs() % blocks_ != 0 || outputs() % blocks_ != 0)
      fail("{}: {} blocks do not divide a matrix of {} outputs and {} inputs", path(), blocks_, outputs(),
           inputs());
    const Dim out = need.out, in = Dim::plain(inputs() / blocks_);
    // A bank of blocks, stored one below the other.
    const std::vector<Dim> shape = {out, in};
    const Dtype dtype = scope.tensor("weight", shape).dtype;
    const auto type = weight_type(dtype);
    const void* data = type ? scope.values("weight", shape, dtype) : scope.floats("weight", shape);
    weight_ = std::make_unique<Matrix>(data, type.value_or(WeightType::float32), outputs() / blocks_,
                                       inputs() / blocks_);
  }

  void rows(Pass&, const int64_t* ids, int64_t count, float* y) const override {
    const int64_t tall = outputs() / blocks_, wide = inputs() / blocks_;
    for (int64_t i = 0; i < count; ++i) {
      std::fill_n(y + i * inputs(), inputs(), 0.0f);
      weight_->row(ids[i], y + i * inputs() + ids[i] / tall * wide);
    }
  }

 protected:
  void product(Pass& pass, int64_t rows, In x, Out y, int64_t, const float* bias) const override {
    const int64_t tall = outputs() / blocks_, wide = inputs() / blocks_;
    for (int64_t b = 0; b < blocks_; ++b)
      weight_->multiply(pass, rows, {x.data + b * wide, x.stride}, {y.data + b * tall, y.stride, y.add}, b,
                        bias ? bias + b * tall : nullptr);
  }

 private:
  int64_t blocks_;
  std::unique_ptr<Matrix> weight_;
};

class Masked final : public LinearMap {
 public:
  using Options = MaskedOptions;

  Masked(Scope& scope, const Need& need, const Options& options) : LinearMap(scope, need) {
    require_single("masked");
    auto& weight = scope.keep(std::vector<float>(static_cast<size_t>(outputs() * inputs())));
    if (options.pattern == "unstructured")
      scatter_bits(scope, options, weight);
    else
      scatter_groups(scope, options, weight);
    weight_ = std::make_unique<Matrix>(weight.data(), WeightType::float32, outputs(), inputs());
  }
  void rows(Pass&, const int64_t* ids, int64_t count, float* y) const override {
    for (int64_t i = 0; i < count; ++i) weight_->row(ids[i], y + i * inputs());
  }

 protected:
  void product(Pass& pass, int64_t rows, In x, Out y, int64_t, const float* bias) const override {
    weight_->multiply(pass, rows, x, y, 0, bias);
  }

 private:
  static const uint8_t* bytes(const Scope& scope, const char* suffix, const Shape& shape) {
    return static_cast<const uint8_t*>(scope.values(suffix, shape, Dtype::uint8));
  }

  // Values in row order, and a bit for each place: the first of eight in the low bit.
  void scatter_bits(const Scope& scope, const Options& options, std::vector<float>& weight) const {
    const int64_t all = inputs() * outputs(), kept = options.kept ? options.kept : all - all / 2;
    const float* value = scope.floats("values", {kept});
    const int64_t row_bytes = (inputs() + 7) / 8;
    const uint8_t* bits = bytes(scope, "bitmap", {outputs(), row_bytes});
    int64_t used = 0;
    for (int64_t o = 0; o < outputs(); ++o)
      for (int64_t i = 0; i < inputs(); ++i) {
        if (!(bits[o * row_bytes + i / 8] >> i % 8 & 1)) continue;
        if (used == kept) fail("{}: the bitmap has more places than the {} values", path(), kept);
        weight[static_cast<size_t>(o * inputs() + i)] = value[used++];
      }
  }

  // n values of every m neighbours, and their places.
  void scatter_groups(const Scope& scope, const Options& options, std::vector<float>& weight) const {
    const int64_t n = options.n, m = options.m;
    if (n > m || inputs() % m != 0)
      fail("{}: expected n <= m and m a divisor of the {} inputs, found {} of {}", path(), inputs(), n, m);
    const std::vector<int64_t> shape = {outputs(), inputs() / m, n};
    const float* value = scope.floats("values", shape);
    const uint8_t* index = bytes(scope, "index", shape);
    for (int64_t k = 0; k < outputs() * inputs() / m * n; ++k) {
      if (index[k] >= m) fail("{}: place {} of {} neighbours", path(), index[k], m);
      weight[static_cast<size_t>(k / n * m + index[k])] = value[k];
    }
  }

  std::unique_ptr<Matrix> weight_;
};

FORMWORK_PART(LinearMap, BlockDiagonal, "block_diagonal", "blocks of outputs that see blocks of inputs");
FORMWORK_PART(LinearMap, Masked, "masked", "a sparse matrix: unstructured, or n of m neighbours");

}  // namespace
}  // namespace formwork::runtime
