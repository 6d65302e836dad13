// What is added to the embedding: nothing, learned vectors, or sines and cosines.
#include <cmath>

#include "formwork/positions/position_options.h"
#include "formwork/runtime/part.h"

namespace formwork::runtime {
namespace {

class NoStemPosition final : public StemPosition {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  NoStemPosition(Scope&, const Options&) {}
  void embed(const Pass&, float*) const override {}
};

class Learned final : public StemPosition {
 public:
  using Options = LearnedPositionOptions;
  Learned(Scope& scope, const Options& options)
      : path_(scope.path()), width_(scope.in.size), context_(scope.axis("context", options.context).size) {
    table_ = scope.floats("weight", {context_, width_});
  }
  void embed(const Pass& pass, float* x) const override {
    for (int64_t r = 0; r < pass.rows; ++r) {
      if (pass.positions[r] >= context_)
        fail("{}: position {} is past the {} learned ones", path_, pass.positions[r], context_);
      const float* row = table_ + pass.positions[r] * width_;
      for (int64_t i = 0; i < width_; ++i) x[r * width_ + i] += row[i];
    }
  }

 private:
  std::string path_;
  int64_t width_, context_;
  const float* table_;
};

class Sinusoidal final : public StemPosition {
 public:
  using Options = SinusoidalOptions;
  Sinusoidal(Scope& scope, const Options& options) : scale_(options.scale), width_(scope.in.size) {
    frequencies_ = doubles(scope, "frequency"), phases_ = doubles(scope, "phase");
  }
  void embed(const Pass& pass, float* x) const override {
    for (int64_t r = 0; r < pass.rows; ++r)
      for (int64_t i = 0; i < width_; ++i) {
        const auto c = static_cast<size_t>(i);
        const double angle = static_cast<double>(pass.positions[r]) * frequencies_[c] + phases_[c];
        x[r * width_ + i] += static_cast<float>(std::sin(angle) * scale_);
      }
  }

 private:
  std::vector<double> doubles(const Scope& scope, const std::string& suffix) const {
    const auto* data = static_cast<const double*>(scope.values(suffix, {width_}, Dtype::float64));
    return {data, data + width_};
  }
  double scale_;
  int64_t width_;
  std::vector<double> frequencies_, phases_;
};

FORMWORK_PART(StemPosition, NoStemPosition, "none", "nothing is added");
FORMWORK_PART(StemPosition, Learned, "learned", "a learned vector for each position");
FORMWORK_PART(StemPosition, Sinusoidal, "sinusoidal", "sines and cosines of the position");

}  // namespace
}  // namespace formwork::runtime
