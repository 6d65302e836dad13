// Rotary positions (Su et al., "RoFormer", 2021): pair (a, b) of channels at position p becomes
// (a cos(p f) - b sin(p f), b cos(p f) + a sin(p f)), so q.k depends on the distance alone.
#include <cmath>

#include "formwork/positions/fused.h"
#include "formwork/positions/position.h"
#include "formwork/positions/position_options.h"
#include "formwork/positions/rotary_scaling.h"

namespace formwork {
namespace {

// Which channels of the turned part [0, r) make pair i.
struct Pairing {
  bool halves;  // (i, i + r/2), as in Hugging Face's Llama; otherwise (2i, 2i + 1)

  // The channel that pair i shares its frequency with.
  int64_t channel(int64_t pair) const { return halves ? pair : 2 * pair; }

  // x [..., r] -> the two members of every pair, [..., r/2] each.
  std::pair<Tensor, Tensor> split(const Tensor& x) const {
    const auto pairs = x.size(-1) / 2;
    if (halves) return {x.narrow(-1, 0, pairs), x.narrow(-1, pairs, pairs)};
    const auto both = x.unflatten(-1, {pairs, 2});
    return {both.select(-1, 0), both.select(-1, 1)};
  }
  Tensor join(const Tensor& a, const Tensor& b) const {
    return halves ? at::cat({a, b}, -1) : at::stack({a, b}, -1).flatten(-2);
  }
};

bool is_plain(const Tensor& x, at::ScalarType dtype) {
  return x.is_cpu() && x.scalar_type() == dtype && x.is_contiguous();
}

// Up to how many tokens the tables are cheaper to fill one by one than in whole operations, of which each
// costs more than a step of decoding has angles.
constexpr int64_t kFewTokens = 16;

class RotaryPosition final : public Position {
 public:
  using Options = RotaryOptions;

  RotaryPosition(Build& build, const Options& options) : pairing_{options.layout == "half"} {
    const Build child = build.at("scaling");
    scaling_ = Registry<RotaryScaling>::make(child.resolve(options.scaling), {child.path()});
    turned_ = static_cast<int64_t>(static_cast<double>(build.in.size) * options.fraction);
    if (turned_ % 2)
      fail("{}: {} turned channels of {} do not make pairs; choose head_width or fraction", build.path(),
           turned_, build.in.size);
    // One frequency a channel (equal within a pair, 0 where nothing turns), so that it follows its channel.
    Rule rule;
    rule.frozen = rule.keep_dtype = true;
    rule.decay = false;
    rule.init = {"rotary", [frequencies = scaling_->frequencies(turned_, options.base), pairing = pairing_,
                            turned = turned_](Tensor& t, at::Generator) {
                   const auto f = at::tensor(frequencies, at::kDouble);
                   t.zero_().narrow(0, 0, turned).copy_(pairing.join(f, f));
                 }};
    frequencies_ = build.param("inverse_frequency", {build.in}, rule);
    restrict_axis(build);
  }

  bool rotates() const override { return true; }

  Turn turn(Context& ctx, const Tensor& positions) override {
    if (turned_ == 0) return {};
    const auto& frequencies = ctx.value(*frequencies_);
    const bool few = positions.numel() <= kFewTokens && !scaling_->stretches() &&
                     !frequencies.requires_grad() && is_plain(frequencies, at::kFloat) &&
                     is_plain(positions, at::kLong);
    Turn turn = few ? few_tables(frequencies, positions) : tables(frequencies, positions);
    if (const double amplitude = scaling_->amplitude(); amplitude != 1)
      turn.cosines.mul_(amplitude), turn.sines.mul_(amplitude);
    return turn;
  }

  Tensor rotate(Context& ctx, const Tensor& x, const Tensor& positions) override {
    if (turned_ == 0) return x;
    const auto tables = turn(ctx, positions);
    if (!ctx.mode.twice_differentiable && x.device().is_cpu() && x.scalar_type() == at::kFloat)
      return fused_rotary(x, tables.cosines, tables.sines, pairing_.halves);
    const auto cosines = tables.cosines.unsqueeze(2).to(x.scalar_type()),
               sines = tables.sines.unsqueeze(2).to(x.scalar_type());
    const auto [a, b] = pairing_.split(x.narrow(-1, 0, turned_));
    const auto y = pairing_.join(a * cosines - b * sines, b * cosines + a * sines);
    return turned_ == x.size(-1) ? y : at::cat({y, x.narrow(-1, turned_, x.size(-1) - turned_)}, -1);
  }

 private:
  Turn tables(const Tensor& frequencies, const Tensor& positions) const {
    auto angles =
        pairing_.split(frequencies.narrow(0, 0, turned_)).first * positions.unsqueeze(-1).to(at::kFloat);
    if (scaling_->stretches()) angles = angles * stretch(positions).to(angles.options());
    return {angles.cos(), angles.sin(), pairing_.halves};
  }

  // Factors on the frequencies at positions [B|1, T] -> [B|1, T, r/2].
  Tensor stretch(const Tensor& positions) const {
    const auto places = positions.to(at::kCPU, at::kLong).contiguous();
    auto factors = at::empty({places.size(0), places.size(1), turned_ / 2}, at::kFloat);
    const int64_t* place = places.const_data_ptr<int64_t>();
    float* to = factors.mutable_data_ptr<float>();
    for (int64_t t = 0; t < places.numel(); ++t, to += turned_ / 2) scaling_->stretch(place[t], turned_, to);
    return factors;
  }

  Turn few_tables(const Tensor& frequencies, const Tensor& positions) const {
    const int64_t pairs = turned_ / 2;
    auto cosines = at::empty({positions.size(0), positions.size(1), pairs}, frequencies.options()),
         sines = at::empty(cosines.sizes(), cosines.options());
    const float* frequency = frequencies.const_data_ptr<float>();
    const int64_t* position = positions.const_data_ptr<int64_t>();
    float *cosine = cosines.mutable_data_ptr<float>(), *sine = sines.mutable_data_ptr<float>();
    for (int64_t t = 0; t < positions.numel(); ++t)
      for (int64_t i = 0; i < pairs; ++i) {
        const float angle = frequency[pairing_.channel(i)] * static_cast<float>(position[t]);
        *cosine++ = std::cos(angle), *sine++ = std::sin(angle);
      }
    return {cosines, sines, pairing_.halves};
  }

  void restrict_axis(Build& build) const {
    build.restrict_to_pairs(build.in, pairing_.halves ? Pairs::halves : Pairs::neighbours, turned_,
                            "channels turn in pairs");
    if (scaling_->stretches())
      build.restrict(build.in, Group::none,
                     "frequencies change with the position by their place in the head");
  }

  Pairing pairing_;
  std::unique_ptr<RotaryScaling> scaling_;
  int64_t turned_;
  Param* frequencies_;
};

FORMWORK_PART(Position, RotaryPosition, "rotary",
              "queries and keys turn by an angle that grows with the position");

}  // namespace
}  // namespace formwork
