// A decoder that the runtime can run: built from its Spec and named tensors, without LibTorch. The tensors
// stay where they are and must outlive the model.
#pragma once
#include <string>
#include <vector>

#include "formwork/core/spec.h"
#include "formwork/models/tower_options.h"
#include "formwork/runtime/positions/mixer_position.h"
#include "formwork/runtime/wiring/wiring.h"

namespace formwork::runtime {

class Model {
 public:
  // Throws Error that names the path and the part where one has no runtime form, and where tensors do not
  // fit.
  //
  // With `others`, which must outlive the model, parts of layers without a runtime form are run by them.
  Model(const Spec& spec, const RawMap& tensors, const OtherSteps* others = nullptr);

  // The tensors that a model of this Spec wants, as its parts ask for them. Throws as the constructor does.
  static Parameters parameters(const Spec& spec);

  int64_t vocab() const { return embedding_->outputs(); }
  int64_t outputs() const { return head_->width(); }  // logits of a token
  int64_t widest() const { return widest_; }          // of the stream
  std::vector<std::unique_ptr<State>> make_states(const StateOptions& options) const;

  // ids and positions of the pass -> the normed last stream, in stream.x. Both buffers of the stream hold
  // [rows, widest()].
  void run(Pass& pass, const std::vector<std::unique_ptr<State>>& states, Stream& stream) const;
  // Logits [rows, outputs()] of rows [rows, scope width] of that stream.
  void logits(Pass& pass, int64_t rows, const float* x, float* y) const { head_->run(pass, rows, x, y); }

 private:
  void look_up(Pass& pass, float* x) const;
  void embed(Pass& pass, Stream& stream) const;

  Model() = default;
  void build(Source source);

  Kept kept_;
  double scale_ = 1;
  int64_t width_ = 0, widest_ = 0;
  std::unique_ptr<LinearMap> embedding_, project_;
  std::unique_ptr<StemPosition> position_;
  std::unique_ptr<Norm> stem_norm_, norm_;
  std::vector<std::unique_ptr<Wiring>> layers_;
  std::vector<const Step*> steps_;
  std::unique_ptr<Head> head_;
};

}  // namespace formwork::runtime
