// Muon (Jordan et al., 2024): the momentum of each hidden matrix is made nearly orthogonal before the step.
// Embeddings, heads, routers, gains and biases take AdamW's steps.
#include <set>

#include "formwork/linear/linear_map.h"
#include "formwork/models/model.h"
#include "formwork/numerics/newton_schulz.h"
#include "formwork/train/optimizers/rules.h"

namespace formwork {
namespace {

enum Method : int64_t { kAdamW, kMuon };

bool is_hidden(const LinearMap& map) {
  return map.role() != Role::embed && map.role() != Role::head && map.role() != Role::router;
}

// The matrices, or banks of matrices, of hidden linear maps.
std::set<const Param*> hidden_matrices(const Trainee& trainee) {
  std::set<const Param*> matrices, others;
  for (const auto* inventory : trainee.inventories)
    for (const auto* map : inventory->maps)
      for (const auto* param : map->params()) {
        const int64_t dims = param->value.defined() ? param->value.dim() : 0;
        const bool matrix = dims == 2 || (dims == 3 && map->banks() > 0);
        (is_hidden(*map) && matrix && param != map->bias() ? matrices : others).insert(param);
      }
  for (const auto* param : others) matrices.erase(param);  // a tie with an embedding
  return matrices;
}

//   m = momentum m + (1 - momentum) g;  u = orthogonal((1 - momentum) g + momentum m)
//   p = (1 - rate * decay) p - rate * 0.2 sqrt(max(rows, columns)) u
// The factor gives an update the root mean square of AdamW's (Liu et al., 2025, "Muon is Scalable for LLM
// Training"), so that one rate and one decay serve both.
class MuonOptimizer final : public Optimizer {
 public:
  struct Options {
    double momentum = 0.95, beta1 = 0.9, beta2 = 0.95, epsilon = 1e-8, decay = 0.1;
    int64_t iterations = 5;
    void describe(Fields& f) {
      f.number("momentum", momentum, "decay of the momentum of hidden matrices", 0, 1);
      f.integer("iterations", iterations, "Newton-Schulz iterations", 1, 20);
      f.number("beta1", beta1, "decay of the first moment of the other parameters", 0, 1);
      f.number("beta2", beta2, "decay of the second moment of the other parameters", 0, 1);
      f.number("epsilon", epsilon, "added to the root of the second moment", 0, 1);
      f.number("decay", decay, "weight decay, times the rate", 0, 1e3);
    }
    AdamWOptions adamw() const { return {beta1, beta2, epsilon, decay}; }
  };

  MuonOptimizer(const Trainee& trainee, const Options& options)
      : Optimizer(trainee, {{"first", "second"}, {"momentum"}},
                  [matrices = hidden_matrices(trainee)](const Param& param) -> int64_t {
                    return matrices.count(&param) ? kMuon : kAdamW;
                  }),
        options_(options) {}

 protected:
  void update(FlatGroup& group, Moments& moments, const Update& update) override {
    if (group.method == kAdamW) {
      adamw_update(options_.adamw(), group, moments[0], moments[1], update);
      return;
    }
    if (update.gradient_scale != 1) group.gradient.mul_(update.gradient_scale);
    const double rate = update.rate * group.rate;
    moments[0].lerp_(group.gradient, 1 - options_.momentum);
    if (group.decay) group.value.mul_(1 - rate * options_.decay);
    for (const auto& piece : group.pieces) {
      auto gradient = group.view(group.gradient, piece);
      const auto direction = newton_schulz(gradient.lerp_(group.view(moments[0], piece), options_.momentum),
                                           options_.iterations);
      const auto longest = static_cast<double>(std::max(gradient.size(-1), gradient.size(-2)));
      group.view(group.value, piece).add_(direction, -rate * 0.2 * std::sqrt(longest));
    }
  }

 private:
  Options options_;
};

FORMWORK_PART(Optimizer, MuonOptimizer, "muon", "orthogonal steps for hidden matrices, AdamW for the rest");

}  // namespace
}  // namespace formwork
