// Optimizers update a run's parameters from their gradients, as each parameter's Rule says: its factor on
// the rate, whether weight decay applies; frozen parameters are left alone.
#pragma once
#include <string>
#include <vector>

#include "formwork/core/factory.h"
#include "formwork/interop/safetensors.h"
#include "formwork/train/flat_parameters.h"

namespace formwork {

struct Update {
  int64_t step = 1;           // from 1
  double rate = 1e-3;         // the schedule's
  double gradient_scale = 1;  // gradients are multiplied by it (clipping)
};

class Optimizer {
 public:
  static const char* kind() { return "optimizers"; }
  static const char* noun() { return "optimizer"; }
  virtual ~Optimizer() = default;

  void step(const Update& update);
  FlatParameters& parameters() { return parameters_; }

  // Moments by "parameter/moment", as views; loading them continues bit for bit.
  TensorMap state() const;
  // Missing and unexpected names and wrong shapes are errors that name `where`.
  void load_state(const TensorMap& state, const std::string& where);

 protected:
  using Moments = std::vector<Tensor>;  // flat, as long as the group
  // moments[method]: the names of the moments that parameters of this method have.
  Optimizer(const Trainee& trainee, std::vector<std::vector<std::string>> moments,
            const std::function<int64_t(const Param&)>& method = {});
  // group.gradient may be overwritten.
  virtual void update(FlatGroup& group, Moments& moments, const Update& update) = 0;

 private:
  void for_each_moment(const std::function<void(const std::string& name, const Tensor& view)>& visit) const;

  FlatParameters parameters_;
  std::vector<std::vector<std::string>> names_;
  std::vector<Moments> moments_;  // by group
};

template <>
class Registry<Optimizer> : public Factory<Optimizer, const Trainee&> {};

}  // namespace formwork
