// Stacked linear map: each segment of the outputs is a map of its own over the same input,
// y = [x W_0^T, x W_1^T, ..] + b. A fused map (query, key and value; gate and up) keeps its place and its one
// output, and its segments, "<path>.0", "<path>.1", .., can be represented each in its own way.
#include "formwork/linear/nested.h"
#include "formwork/linear/split_linear.h"
#include "formwork/linear/stored.h"

namespace formwork {
namespace {

Role segment_role(Role role, size_t segment, size_t segments) {
  static constexpr Role attention[] = {Role::query, Role::key, Role::value}, mlp[] = {Role::gate, Role::up};
  if (role == Role::qkv && segments == 3) return attention[segment];
  if (role == Role::gate_up && segments == 2) return mlp[segment];
  return role;
}

class Stacked final : public SplitLinear {
 public:
  struct Options {
    void describe(Fields&) {}
  };

  Stacked(Build& build, const LinearNeed& need, const Options&) : SplitLinear(build, need) {
    require_single(build, need, "stacked");
    for (size_t i = 0; i < need.out.segments.size(); ++i) {
      LinearNeed segment = need;
      segment.bias = false;
      segment.input = input_tap();
      segment.out = Dim::product(need.out.segments[i]);
      segment.role = segment_role(need.role, i, need.out.segments.size());
      maps_.push_back(make_nested(build, fmt::format("{}", i), segment));
      for (auto* param : maps_.back()->params()) own(param);
    }
  }

  Tensor dense(Context& ctx) override {
    return joined(0, [&](LinearMap& map) { return map.dense(ctx); });
  }
  double flops() const override {
    double total = 0;
    for (const auto& map : maps_) total += map->flops();
    return total;
  }
  std::string type() const override { return "stacked"; }

 protected:
  Tensor product(Context& ctx, const Tensor& x, int64_t) override {
    const auto y = joined(-1, [&](LinearMap& map) { return map.forward(ctx, x); });
    const auto bias = bias_value(ctx, -1);
    return bias.defined() ? y + bias : y;
  }
  Split products(SplitPass& pass, const Split& x) override {
    std::vector<Tensor> relevant, rest;
    for (const auto& map : maps_) {
      const auto y = through(pass, *map, x);
      relevant.push_back(y.relevant), rest.push_back(y.rest);
    }
    return {at::cat(relevant, -1), at::cat(rest, -1)};
  }

 private:
  template <class Piece>
  Tensor joined(int64_t dim, const Piece& piece) const {
    std::vector<Tensor> parts;
    for (const auto& map : maps_) parts.push_back(piece(*map));
    return parts.size() == 1 ? parts[0] : at::cat(parts, dim);
  }
  std::vector<std::unique_ptr<LinearMap>> maps_;
};

FORMWORK_PART(LinearMap, Stacked, "stacked", "each segment of the outputs is a map of its own");

}  // namespace
}  // namespace formwork
