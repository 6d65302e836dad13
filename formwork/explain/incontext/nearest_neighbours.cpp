// k nearest neighbours: the mean y of the k examples next to x (all where there are fewer), each with the
// same weight or with 1 / distance; an example at distance 0 then counts alone.
#include "formwork/explain/incontext/learner.h"

namespace formwork {
namespace {

class NearestNeighbours final : public Learner {
 public:
  struct Options {
    int64_t k = 5;
    std::string weights = "uniform";
    void describe(Fields& f) {
      f.integer("k", k, "neighbours", 1, 1 << 20);
      f.choice("weights", weights, {"uniform", "distance"}, "all alike, or by 1 / distance");
    }
  };
  explicit NearestNeighbours(const Options& options) : options_(options) {}

  Tensor predict(const Examples& known, const Tensor& asked) const override {
    const int64_t n = known.known();
    if (n == 0) return at::zeros({asked.size(0), asked.size(1)}, asked.options());
    const auto squares = (asked.unsqueeze(2) - known.x.unsqueeze(1)).square().sum(-1);  // [B, m, n]
    const auto [near, index] = squares.topk(std::min(options_.k, n), -1, /*largest=*/false);
    const auto y = known.y.unsqueeze(1).expand_as(squares).gather(-1, index);
    if (options_.weights == "uniform") return y.mean(-1);
    const auto same = near.eq(0);
    const auto weights = at::where(same.any(-1, true), same.to(near.scalar_type()), near.rsqrt());
    return (weights * y).sum(-1) / weights.sum(-1);
  }

 private:
  Options options_;
};

FORMWORK_PART(Learner, NearestNeighbours, "knn", "the mean of the nearest examples");

}  // namespace
}  // namespace formwork
