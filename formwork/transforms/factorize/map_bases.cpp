#include "formwork/transforms/factorize/map_bases.h"

#include "formwork/transforms/modules.h"

namespace formwork {
namespace {

using ByTap = std::map<Slot, std::vector<Moments>>;  // one for each matrix

ByTap collect(Model& model, const Calibration& data, const std::vector<LinearMap*>& maps) {
  std::vector<Slot> taps;
  std::vector<const LinearMap*> banks;
  for (const auto* map : maps) {
    if (map->banks() > 0)
      banks.push_back(map);
    else
      taps.push_back(map->output_tap());
  }
  ByTap moments;
  if (!banks.empty()) moments = collect_module_moments(model, data, banks);
  if (taps.empty()) return moments;
  for (auto& [tap, one] : collect_moments(model, data, taps, /*with_outer=*/true)) moments[tap] = {one};
  return moments;
}

// One matrix: W [O, I] and b [O] in double.
struct Matrix {
  Tensor weight, bias;
};

std::vector<Matrix> matrices_of(LinearMap& map) {
  const auto weight = finite_weight(map).to(at::kDouble);
  auto shape = weight.sizes().vec();
  shape.pop_back();
  const auto bias = map.bias() ? map.bias()->value.detach().to(at::kDouble) : at::zeros(shape, at::kDouble);
  if (map.banks() == 0) return {{weight, bias}};
  std::vector<Matrix> list;
  for (int64_t g = 0; g < map.banks(); ++g) list.push_back({weight[g], bias[g]});
  return list;
}

// As many vectors as the tokens span; none where there are none.
OutputBasis basis_of(const std::string& kind, const Matrix& matrix, const Moments& outputs) {
  const int64_t most = outputs.count - 1;
  if (most < 1 && !(kind == "svd" && outputs.count > 0)) return {};
  auto basis = output_basis(kind, matrix.weight, matrix.bias, outputs);
  if (kind == "svd" || most >= basis.size()) return basis;
  basis.energy = basis.energy.narrow(0, 0, most);
  basis.vectors = basis.vectors.narrow(1, 0, most);
  return basis;
}

int64_t size_of(const OutputBasis& basis) { return basis.vectors.defined() ? basis.size() : 0; }

}  // namespace

MapBases find_bases(Model& model, const Calibration& data, const std::vector<LinearMap*>& maps,
                    const std::string& kind, Json& warnings) {
  MapBases bases;
  MapsByReason bounded;
  auto moments = collect(model, data, maps);
  for (auto* map : maps) {
    const auto found = moments.find(map->output_tap());
    if (found == moments.end()) {
      warnings.push_back(fmt::format("no calibration token reached '{}'", map->path()));
      continue;
    }
    const auto matrices = matrices_of(*map);
    MapBasis made;
    for (size_t g = 0; g < matrices.size(); ++g) {
      made.tokens.push_back(found->second[g].count);
      made.matrices.push_back(basis_of(kind, matrices[g], found->second[g]));
    }
    // The matrices of a bank have one rank, and those with fewer tokens do without them.
    const int64_t whole = kind == "svd" ? std::min(map->in(), map->out()) : map->out();
    made.most = map->banks() > 0 ? whole : size_of(made.matrices[0]);
    if (map->banks() == 0 && kind != "svd" && made.tokens[0] - 1 < map->out())
      bounded.add(fmt::format("{} calibration tokens for {} outputs bound the rank by {}", made.tokens[0],
                              map->out(), made.tokens[0] - 1),
                  map->path());
    moments.erase(found);  // they are as large as the bases
    if (made.most > 0) bases[map->path()] = std::move(made);
  }
  for (const auto& line : bounded.lines()) warnings.push_back(line);
  return bases;
}

SplitTensors split_matrices(LinearMap& map, const MapBasis& basis, int64_t rank, bool with_bias) {
  const auto matrices = matrices_of(map);
  const auto type = map.dense().scalar_type();
  SplitTensors made;
  std::vector<Tensor> a, b, bias;
  double tokens = 0;
  for (size_t g = 0; g < matrices.size(); ++g) {
    auto of = basis.matrices[g];
    if (size_of(of) >= rank) {
      made.error += static_cast<double>(basis.tokens[g]) * of.error(rank);
      tokens += static_cast<double>(basis.tokens[g]);
    } else {
      const bool beyond = rank > std::min(map.in(), map.out());
      of.vectors = std::get<0>(at::linalg_svd(matrices[g].weight, /*full_matrices=*/beyond));
      of.centre = matrices[g].bias;
      ++made.by_weights;
    }
    const auto split = split_map(of, matrices[g].weight, matrices[g].bias, rank);
    a.push_back(split.a.to(type)), b.push_back(split.b.to(type)), bias.push_back(split.bias.to(type));
  }
  if (tokens > 0) made.error /= tokens;
  const auto joined = [&](const std::vector<Tensor>& parts) {
    return map.banks() > 0 ? at::stack(parts) : parts[0];
  };
  made.tensors = {{"a.weight", joined(a)}, {"b.weight", joined(b)}};
  if (with_bias) made.tensors["bias"] = joined(bias);
  return made;
}

}  // namespace formwork
