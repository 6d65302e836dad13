// Decoding by the runtime inside the full program: the same code, on the model's own tensors.
#pragma once
#include <memory>
#include <string>

#include "formwork/core/raw.h"
#include "formwork/decode/decode_strategy.h"

namespace formwork {

namespace runtime {
class Model;
class Session;
}  // namespace runtime

class PlainSteps;

class FastPath {
 public:
  // Steps that have no runtime form are run by LibTorch between the others (plain_steps.h); `reason` says
  // which and why
  // ("layers.2.mixer: token mixer 'convolution' has no runtime form; .."). Null where the whole model cannot
  // take it; then it says that. The model's parameters must stay as they are while it lives.
  static std::unique_ptr<FastPath> make(const Model& model, const StateOptions& options, std::string& reason);
  ~FastPath();

  // ids [B, T] -> logits [B, V] of the last token of each row.
  Tensor append(const Tensor& ids);
  // The same at every token, [B, T, V].
  Tensor append_all(const Tensor& ids);
  // Goes on with copies of these rows [R] int64.
  void select(const Tensor& rows);
  // Forgets all but the first `tokens` tokens of a row.
  void truncate(int64_t row, int64_t tokens);

 private:
  FastPath(const Model& model, const StateOptions& options);
  RawMap held_;  // what the runtime reads
  std::unique_ptr<PlainSteps> plain_;
  std::unique_ptr<runtime::Model> model_;
  std::unique_ptr<runtime::Session> session_;
};

}  // namespace formwork
