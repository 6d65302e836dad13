// How much rank each type of map needs (LoRD, Kaushal et al., 2023): all maps of one type are factorized at
// some share of the rank that saves nothing, the others stay dense, and the perplexity is measured. Then
// ranks are chosen greedily: the step that raises ln(perplexity) least for each parameter it saves goes
// first.
#pragma once
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "formwork/transforms/transform.h"

namespace formwork {

using Shares = std::map<std::string, double>;  // by type; a type that is absent stays dense

struct ScanPoint {
  std::string type;
  double share = 1, log_perplexity = 0;
};

struct RankScan {
  double dense = 0;               // ln(perplexity) of the dense model
  std::vector<ScanPoint> points;  // by type, shares descending
};

// `types`: parameters of all maps of a type. A share s of a map's break-even rank keeps the share s of its
// parameters. `shares`: descending, in (0, 1).
RankScan scan_ranks(const std::map<std::string, int64_t>& types, const std::vector<double>& shares,
                    const std::function<double(const Shares&)>& log_perplexity);

// Shares that save `ratio` of all parameters, or a step more; fails where the scan does not go so far.
Shares choose_shares(const RankScan& scan, const std::map<std::string, int64_t>& types, double ratio);

// Mean negative log-likelihood (nats) of each token of input_ids after the first, over real tokens. Fails for
// models that are not causal or give no logits over their own vocabulary.
double log_perplexity(Model& model, const Calibration& data);

}  // namespace formwork
