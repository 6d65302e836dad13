// The subspaces of the outputs of maps on calibration data (output_basis.h), one for each matrix of a bank of
// experts from the rows that this expert takes, and the low-rank maps that they make.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "formwork/transforms/factorize/output_basis.h"

namespace formwork {

struct MapBasis {
  std::vector<OutputBasis> matrices;  // one, or one for each matrix of a bank
  std::vector<int64_t> tokens;        // that each has seen
  int64_t most = 0;                   // the largest rank
};
using MapBases = std::map<std::string, MapBasis>;  // by path

// Of dense maps and routed banks. n tokens span a subspace of at most n - 1 dimensions around their mean,
// which bounds the rank of a map, with a warning, unless `kind` is svd. Maps that no token reached are
// absent, with a warning.
MapBases find_bases(Model& model, const Calibration& data, const std::vector<LinearMap*>& maps,
                    const std::string& kind, Json& warnings);

struct SplitTensors {
  TensorMap tensors;       // "a.weight", "b.weight" and, where asked for, "bias"
  double error = 0;        // mean over tokens of the squared error of an output, as the subspaces predict it
  int64_t by_weights = 0;  // matrices that saw too few tokens for the rank: split by their singular vectors
};
SplitTensors split_matrices(LinearMap& map, const MapBasis& basis, int64_t rank, bool with_bias);

}  // namespace formwork
