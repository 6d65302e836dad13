// Training of some entries of some axes while everything else stays bit for bit as it is: new modules beside
// old ones.
#pragma once
#include "formwork/train/flat_parameters.h"

namespace formwork {

class TrainedSlices {
 public:
  // {"layers.*.channel.experts": 8}: of the axes that match ('*' for any characters), entries from 8 on.
  // Parameters that carry none of these axes are not trained. Throws when a pattern matches no axis, when
  // nothing is left to train, or when a parameter carries the axis other than as a dimension of its own.
  TrainedSlices(const Model& model, FlatParameters& parameters, const Json& first);
  void clear_other_gradients();  // after the backward pass
  void restore_others();         // after the update, which decays weights whatever their gradient

 private:
  FlatParameters& parameters_;
  std::vector<Tensor> trained_;  // of each group, [n] bool
  std::vector<Tensor> kept_;     // values before training
};

}  // namespace formwork
