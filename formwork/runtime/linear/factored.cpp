// Maps made of maps: two thin matrices, y = (x A^T) B^T + b; segments of outputs, each a map of its own; and
// a map with a low-rank update, y = W x + (alpha / r) B A x + b.
#include "formwork/linear/map_options.h"
#include "formwork/runtime/linear/matrix.h"
#include "formwork/runtime/linear_map.h"

namespace formwork::runtime {
namespace {

class LowRank final : public LinearMap {
 public:
  using Options = LowRankOptions;

  LowRank(Scope& scope, const Need& need, const Options& options) : LinearMap(scope, need) {
    const Axis rank = scope.axis("rank", options.rank);
    rank_ = rank.size;
    a_ = make_nested(scope, "a", {need.in, rank, false, need.banks});
    b_ = make_nested(scope, "b", {rank, need.out, false, need.banks});
  }
  void rows(Pass& pass, const int64_t* ids, int64_t count, float* y) const override {
    const Arena::Frame frame(pass.arena);
    float* inner = pass.arena.take(rank_);
    b_->rows(pass, ids, count, inner);
    a_->transposed(pass, count, inner, y);
  }

 protected:
  void product(Pass& pass, int64_t rows, In x, Out y, int64_t bank, const float* bias) const override {
    const Arena::Frame frame(pass.arena);
    float* inner = pass.arena.take(rank_);
    a_->run(pass, rows, x, {inner, rank_}, bank);
    b_->run(pass, rows, {inner, rank_}, y, bank, bias);
  }

 private:
  int64_t rank_;
  std::unique_ptr<LinearMap> a_, b_;
};

class Stacked final : public LinearMap {
 public:
  struct Options {
    void describe(Fields&) {}
  };

  Stacked(Scope& scope, const Need& need, const Options&) : LinearMap(scope, need) {
    require_single("stacked");
    for (size_t i = 0; i < need.out.segments.size(); ++i)
      maps_.push_back(
          make_nested(scope, fmt::format("{}", i), {need.in, Dim::product(need.out.segments[i])}));
  }

 protected:
  void product(Pass& pass, int64_t rows, In x, Out y, int64_t, const float* bias) const override {
    for (const auto& map : maps_) {
      map->run(pass, rows, x, y, 0, bias);
      y.data += map->outputs();
      if (bias) bias += map->outputs();
    }
  }

 private:
  std::vector<std::unique_ptr<LinearMap>> maps_;
};

class Lora final : public LinearMap {
 public:
  using Options = LoraMapOptions;

  Lora(Scope& scope, const Need& need, const Options& options)
      : LinearMap(scope, need), rank_(scope.axis("rank", options.rank).size) {
    require_single("lora");
    const auto& table = Registry<LinearMap>::entries();
    const auto found = table.find(options.base.type);
    if (found == table.end())
      refuse(scope.path(), LinearMap::noun(), options.base.type, Registry<LinearMap>::names());
    Scope base = scope.at("base");
    base_ = found->second.make(base, {need.in, need.out}, options.base.options);
    a_ = scope.floats("a", {rank_, inputs()});
    // B alpha / r, so that the update is a plain product.
    const float* b = scope.floats("b", {outputs(), rank_});
    auto& scaled = scope.keep({b, b + outputs() * rank_});
    const auto scale = static_cast<float>(options.alpha / static_cast<double>(options.rank));
    for (float& value : scaled) value *= scale;
    b_ = scaled.data();
  }
  void rows(Pass& pass, const int64_t* ids, int64_t count, float* y) const override {
    base_->rows(pass, ids, count, y);
    for (int64_t i = 0; i < count; ++i)
      for (int64_t r = 0; r < rank_; ++r)
        for (int64_t c = 0; c < inputs(); ++c)
          y[i * inputs() + c] += b_[ids[i] * rank_ + r] * a_[r * inputs() + c];
  }

 protected:
  void product(Pass& pass, int64_t rows, In x, Out y, int64_t, const float* bias) const override {
    const Arena::Frame frame(pass.arena);
    float* inner = pass.arena.take(rank_);
    Matrix(a_, WeightType::float32, rank_, inputs()).multiply(pass, rows, x, {inner, rank_}, 0, nullptr);
    base_->run(pass, rows, x, y, 0, bias);
    Matrix(b_, WeightType::float32, outputs(), rank_)
        .multiply(pass, rows, {inner, rank_}, {y.data, y.stride, true}, 0, nullptr);
  }

 private:
  int64_t rank_;
  std::unique_ptr<LinearMap> base_;
  const float *a_, *b_;
};

FORMWORK_PART(LinearMap, LowRank, "low_rank", "two thin matrices");
FORMWORK_PART(LinearMap, Stacked, "stacked", "each segment of the outputs is a map of its own");
FORMWORK_PART(LinearMap, Lora, "lora", "a frozen map and a low-rank update");

}  // namespace
}  // namespace formwork::runtime
