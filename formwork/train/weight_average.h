// Exponential moving average of the weights: average = decay * average + (1 - decay) * weights after each
// step, which evaluates better than the last weights (Polyak and Juditsky, 1992). Early on the decay is
// min(decay, (1 + step) / (10 + step)), so that the initial weights are soon forgotten.
#pragma once
#include "formwork/interop/safetensors.h"
#include "formwork/train/flat_parameters.h"

namespace formwork {

class WeightAverage {
 public:
  WeightAverage(FlatParameters& parameters, double decay);
  void update(int64_t step);  // from 1
  // Exchanges the average and the weights; twice is as if nothing had been done.
  void swap();
  TensorMap state() const;  // by the parameters' names
  void load_state(const TensorMap& state, const std::string& where);

 private:
  FlatParameters& parameters_;
  double decay_;
  std::vector<Tensor> averages_;  // by group
};

}  // namespace formwork
