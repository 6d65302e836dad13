// Polynomial features up to degree p, of norm 1:
//
//   phi(x) = [c_1 x, c_2 x^(2), ..., c_p x^(p)] / |.|,   x^(i) . y^(i) = (x . y)^i
//
// x^(i) holds each monomial of degree i once, times the root of how often it occurs (x^(2): x_a x_b for a <=
// b, times sqrt 2 where a < b). The coefficients c_i of each head are learned and begin at 1 / sqrt(i!), so
// that phi(x) . phi(y) begins as exp's series without its constant. d + d (d + 1) / 2 features for p = 2.
#include "formwork/mixers/fast_weights/feature_map.h"

namespace formwork {
namespace {

constexpr int64_t kMostFeatures = 4096;

// The number of monomials of degree 1 to `degree` in d unknowns; in double, where nothing overflows.
double count_features(int64_t d, int64_t degree) {
  double total = 0, count = 1;
  for (int64_t i = 1; i <= degree; ++i) {
    count = count * static_cast<double>(d + i - 1) / static_cast<double>(i);
    total += count;
  }
  return total;
}

// All monomials of one degree: the unknowns of each, in ascending order, and the root of how many products of
// unknowns give it.
struct Monomials {
  std::vector<std::vector<int64_t>> unknowns;  // [degree][monomial]
  std::vector<double> roots;
};

// Those of degree i from those of degree i - 1, each times an unknown that is not before its last one.
Monomials next_degree(const Monomials& before, int64_t d) {
  const size_t degree = before.unknowns.size() + 1;
  Monomials next{std::vector<std::vector<int64_t>>(degree), {}};
  for (size_t m = 0; m < before.roots.size(); ++m) {
    const int64_t last = before.unknowns.empty() ? 0 : before.unknowns.back()[m];
    double same = 1;  // occurrences of the last unknown, with the new one
    for (size_t k = 0; k + 1 < degree; ++k) same += before.unknowns[k][m] == last ? 1 : 0;
    for (int64_t unknown = last; unknown < d; ++unknown) {
      for (size_t k = 0; k + 1 < degree; ++k) next.unknowns[k].push_back(before.unknowns[k][m]);
      next.unknowns.back().push_back(unknown);
      // i! / prod(n_j!) grows by i over the occurrences of the new unknown.
      const double occurrences = unknown == last && degree > 1 ? same : 1;
      next.roots.push_back(before.roots[m] * std::sqrt(static_cast<double>(degree) / occurrences));
    }
  }
  return next;
}

class Polynomial final : public FeatureMap {
 public:
  struct Options {
    int64_t degree = 2;
    void describe(Fields& f) { f.integer("degree", degree, "highest degree (p)", 1, 16); }
  };

  Polynomial(Build& build, const Options& options)
      : FeatureMap(features_of(build, options.degree)), width_(build.in.asked()) {
    Monomials monomials{{}, {1}};
    for (int64_t i = 1; i <= options.degree; ++i) {
      monomials = next_degree(monomials, build.in.size);
      std::vector<Tensor> unknowns;
      for (const auto& list : monomials.unknowns) unknowns.push_back(at::tensor(list, at::kLong));
      degrees_.push_back({unknowns, at::tensor(monomials.roots, at::kDouble)});
    }
    build.restrict(build.in, Group::none, "features are products of channels");
    Rule rule;
    rule.decay = false, rule.init = series_init();
    coefficients_ =
        build.param("coefficients", {Dim::product(build.heads), Dim::plain(options.degree)}, rule);
  }

  // Squares have a mean: their direction holds as much as a channel does.
  double concentration() const override { return 1 / static_cast<double>(width_); }
  Tensor of(Context& ctx, const Tensor& x) const override {
    const auto c = ctx.value(*coefficients_).to(x.scalar_type());
    std::vector<Tensor> parts;
    for (size_t i = 0; i < degrees_.size(); ++i) {
      const auto scale = c.select(1, static_cast<int64_t>(i)).unsqueeze(-1).unsqueeze(-1);
      parts.push_back(i == 0 ? x * scale : monomials(x, degrees_[i]) * scale);
    }
    const auto all = at::cat(parts, -1);
    return all * (all.square().sum(-1, true) + 1e-12).rsqrt();
  }

 private:
  struct Degree {
    std::vector<Tensor> unknowns;  // an index for each factor
    Tensor roots;
  };

  static Axis features_of(const Build& build, int64_t degree) {
    const double count = count_features(build.in.size, degree);
    if (count > kMostFeatures)
      fail(
          "{}: {:.0f} features (degree {} of {} channels) are above {}; choose narrower keys or a lower "
          "degree",
          build.path(), count, degree, build.in.size, kMostFeatures);
    return Axis{"", static_cast<int64_t>(count)};
  }
  // 1 / sqrt(i!) for degree i.
  static Init series_init() {
    return {"series", [](Tensor& t, at::Generator) {
              for (int64_t i = 0; i < t.size(1); ++i)
                t.select(1, i).fill_(std::exp(-0.5 * std::lgamma(static_cast<double>(i) + 2)));
            }};
  }
  static Tensor monomials(const Tensor& x, const Degree& degree) {
    auto product = degree.roots.to(x.options().requires_grad(false));
    for (const auto& unknown : degree.unknowns)
      product = product * x.index_select(-1, unknown.to(x.device()));
    return product;
  }

  int64_t width_;
  std::vector<Degree> degrees_;
  Param* coefficients_;
};

FORMWORK_PART(FeatureMap, Polynomial, "poly", "all monomials up to a degree, with learned coefficients");

}  // namespace
}  // namespace formwork
