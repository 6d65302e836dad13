// Sinusoidal positions (Vaswani et al., "Attention Is All You Need", 2017): x + S[p] with
// S[p, 2i] = sin(p / base^(2i/D)), S[p, 2i+1] = cos(p / base^(2i/D)).
#include "formwork/positions/position.h"
#include "formwork/positions/position_options.h"

namespace formwork {
namespace {

class SinusoidalPosition final : public Position {
 public:
  using Options = SinusoidalOptions;

  SinusoidalPosition(Build& build, const Options& options) : scale_(options.scale) {
    const int64_t width = build.in.size;
    const bool halves = options.layout == "half";
    const int64_t sines = (width + 1) / 2;
    const auto wave = [=](int64_t c) { return halves ? c % sines : c / 2; };
    const auto cosine = [=](int64_t c) { return halves ? c >= sines : c % 2 == 1; };
    frequencies_ = fixed(build, "frequency", [=](int64_t c) {
      return std::pow(options.base, -2.0 * static_cast<double>(wave(c)) / static_cast<double>(width));
    });
    phases_ = fixed(build, "phase", [=](int64_t c) { return cosine(c) ? M_PI / 2 : 0.0; });
    build.restrict(build.in, Group::permute, "each channel has a wave of its own");
  }

  Tensor embed(Context& ctx, const Tensor& x, const Tensor& positions) override {
    const auto angles =
        positions.unsqueeze(-1).to(at::kDouble) * ctx.value(*frequencies_) + ctx.value(*phases_);
    return x + (angles.sin() * scale_).to(x.scalar_type());
  }

 private:
  // A constant for each channel, which follows it wherever the axis is cut or permuted.
  static Param* fixed(Build& build, const char* name, std::function<double(int64_t)> value) {
    Rule rule;
    rule.frozen = rule.keep_dtype = true;
    rule.decay = false;
    rule.dtype = at::kDouble;
    rule.init = {name, [value](Tensor& t, at::Generator) {
                   for (int64_t c = 0; c < t.size(0); ++c) t[c].fill_(value(c));
                 }};
    return build.param(name, {build.in}, rule);
  }

  double scale_;
  Param *frequencies_, *phases_;
};

FORMWORK_PART(Position, SinusoidalPosition, "sinusoidal",
              "sines and cosines of the position, added to the embedding");

}  // namespace
}  // namespace formwork
