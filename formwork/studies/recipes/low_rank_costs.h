// Where which kind of low rank pays (Greenformers, Cahyawijaya, 2021): low-rank maps save at every length,
// Linformer what grows with the square of the length. Encoders of width 256 and 4 layers with random weights
// (post-norm, MLP of 1,024 hidden units, ReLU): full, with low-rank maps (rank 32), and with Linformer (64
// rows) instead of attention.
#pragma once
#include "formwork/studies/study.h"

namespace formwork {

// The thesis' estimate of what training emits, in pounds of CO2: average power x hours x the grid's factor.
// `watts` of the machine under load, 0 where not known; pounds of CO2 for a kWh.
struct Emissions {
  double watts = 0, pounds_per_kwh = 0.954;
  double pounds(double seconds) const { return watts / 1000 * seconds / 3600 * pounds_per_kwh; }
};

// Measures passes over 4,096 tokens in rows of 64 to 4,096, the shortest of `rounds` in turns.
std::vector<Claim> low_rank_cost_claims(StudyContext& ctx, int64_t rounds, const Emissions& emissions);

// Where two costs at ascending lengths are equal: by straight lines between the logarithms of the lengths and
// of the ratio a / b; the first place where a passes b from below. Not a number where it does not.
double crossing(const std::vector<double>& lengths, const std::vector<double>& a,
                const std::vector<double>& b);

}  // namespace formwork
