// The trainable parameters of a run as a few flat arrays. Each parameter, and its gradient, is a view into
// the array of its group, so clearing, measuring and updating cost one pass over memory instead of one
// operation for each parameter.
#pragma once
#include <functional>
#include <vector>

#include "formwork/core/param.h"

namespace formwork {

class Model;
struct Inventory;

// What a run trains: a model, and parts beside it that belong to the run alone (of a step rule).
struct Trainee {
  Trainee(Model& model);
  // `beside` may be null.
  Trainee(Model& model, Inventory* beside);
  std::vector<Inventory*> inventories;
};

// Parameters that one call updates: same dtype, device, rule and method.
struct FlatGroup {
  struct Piece {
    Param* param;
    int64_t offset;  // of its first element
  };
  Tensor value, gradient;  // [n]; the gaps between pieces are 0 and stay 0
  double rate = 1;         // factor on the learning rate
  bool decay = true;
  int64_t method = 0;  // of those that the optimizer has
  std::vector<Piece> pieces;

  // The part of a flat array [n] of this group that belongs to a piece, in its parameter's shape.
  Tensor view(const Tensor& flat, const Piece& piece) const;
};

class FlatParameters {
 public:
  // `method` sorts the parameters; without one all have method 0. Throws when there is nothing to train, or
  // for parameters that are neither float32 nor float64 (train in bf16 by autocast).
  explicit FlatParameters(const Trainee& trainee, const std::function<int64_t(const Param&)>& method = {});
  // Gives each parameter memory of its own again, and takes the gradients away.
  ~FlatParameters();
  FlatParameters(const FlatParameters&) = delete;
  FlatParameters& operator=(const FlatParameters&) = delete;

  std::vector<FlatGroup>& groups() { return groups_; }
  const std::vector<FlatGroup>& groups() const { return groups_; }
  int64_t size() const;
  void clear_gradients();
  // Says to autograd, and to what was made from the parameters and kept (MadeFrom), that the values have been
  // written to; a write to a group's array goes past their own count of versions.
  void mark_written();
  // sqrt(sum of squares) over everything, summed in float64.
  double gradient_norm() const;

 private:
  void enter(Param& param, int64_t method);
  std::vector<FlatGroup> groups_;
};

}  // namespace formwork
