// Surgery on a model: a transform takes an Edit, changes the Spec's tables and the tensors, and rebuilds.
// Nothing here knows a class or a weight by name; axes, maps, norms and ties come from the inventory.
#pragma once
#include <memory>
#include <string>

#include "formwork/linear/linear_map.h"
#include "formwork/models/model_io.h"

namespace formwork {

// A transform left its model as it was: a mistake in its options, never a result.
class NothingChanged : public Error {
 public:
  using Error::Error;
};

class Edit {
 public:
  explicit Edit(const Model& model);

  // Another representation for a map. `tensors` are named below the map's path ("weight", "codes"); the
  // bias stays unless `tensors` has one, and everything else that the map owned goes.
  void replace(const LinearMap& map, const PartSpec& representation, const TensorMap& tensors);
  // Keeps the entries `index` [n] int64 of an axis, in that order (a permutation when n is its size). Of an
  // axis of rotary pairs, whole pairs that stay pairs.
  void select(const std::string& axis, const Tensor& index);
  // Puts the rotary pairs of every axis (i, i + n / 2) or (2 i, 2 i + 1) apart. The positions that turn them
  // are the caller's to change.
  void arrange_pairs(Pairs pairs);
  // Appends `count` entries to an axis, as its parameters start (their initialization, a stream of `seed`).
  // Each parameter must carry the axis as a whole dimension.
  void grow(const std::string& axis, int64_t count, uint64_t seed);
  // From now on only the parameters `names` (or patterns) train, as far as the parts themselves let them;
  // thaw() takes that back, and says whether there was anything to take back.
  void train_only(const std::vector<std::string>& names);
  bool thaw();
  // Gives the rebuilt model a tensor for a parameter that a table of the Spec now asks for.
  void add(const std::string& name, const Tensor& tensor);
  // Change of basis of an orthogonal axis: a row vector x becomes x Q, Q [size, m] with orthonormal columns.
  void rotate(const std::string& axis, const Tensor& basis);
  // Leaves out the part at `path` (a step: "layers.3.mixer") and its tensors.
  void drop(const std::string& path);
  // Moves the gain and bias of every norm into the maps that read it, and, with `center`, turns LayerNorm
  // into RMSNorm by taking the mean out of everything that writes the stream (SliceGPT, 2024).
  void fold_norms();
  // Gives a step a shortcut map, an identity for now; the stream after it gets an axis of its own, as large.
  void add_shortcut(const std::string& step, int64_t width);
  // Gives the head a matrix of its own; nothing when it has one.
  void untie();
  // Appends an entry to the Spec's history.
  void record(const std::string& transform, const Json& options);

  Tensor& tensor(const std::string& name);
  bool has(const std::string& name) const { return tensors_.count(name) > 0; }
  int64_t axis_size(const std::string& axis) const;
  Spec& spec() { return spec_; }
  const Model& model() const { return *model_; }

  // The rebuilt model; fails where Spec and tensors do not fit, and when nothing was changed.
  std::shared_ptr<Model> finish();

 private:
  using Change = std::function<Tensor(const Tensor& tensor, int64_t dim, const Dim& axes)>;
  void for_each_carrier(const std::string& axis, const Change& change);
  void reorder(const std::string& axis, const Tensor& index);
  void require(const std::string& axis, Group group, const char* operation) const;
  void copy_map(const std::string& from, const std::string& to);
  void require_pairs(const std::string& axis, const Tensor& index) const;

  const Model* model_;
  Spec spec_;
  TensorMap tensors_;
  std::map<std::string, int64_t> sizes_;  // of axes, as cut so far
  bool changed_ = false;
};

}  // namespace formwork
