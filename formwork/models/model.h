// Models are templates that assemble parts. A model maps a record to a record; it can also be run in
// segments (each a step of the stack) and token by token.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "formwork/core/part.h"
#include "formwork/core/registry.h"
#include "formwork/heads/head.h"

namespace formwork {

// States of all steps of a stack, and how many tokens each row has seen.
struct ModelState {
  std::vector<std::unique_ptr<State>> steps;
  Tensor lengths;               // [B] int64
  Streams streams;              // of the encoder, computed once
  std::vector<Tensor> history;  // lengths before each append
  int64_t undecided = 0;        // tokens of the last append where it was a tree or has drafts behind it

  ModelState fork(const Tensor& rows) const;
  void roll_back(int64_t appends);
  // Of the last append, goes on with tokens places[b, 0 .. counts[b]) of row b, as if they alone had been
  // appended in that order: places [B, n], counts [B] int64. After a tree, and after drafts, nothing can be
  // appended before it is said what stays. Throws Error for places outside the tokens that were appended.
  void keep(const Tensor& places, const Tensor& counts);
  int64_t bytes() const;
};

class Model : public Part {
 public:
  static const char* kind() { return "models"; }
  static const char* noun() { return "model"; }

  Record forward(Context& ctx, const Record& in);  // start, run everything, finish

  // Segment-wise: the streams after the stem, after segments [first, last), and the outputs.
  virtual Streams start(Context& ctx, const Record& in) = 0;
  virtual void run(Context& ctx, int64_t first, int64_t last, Streams& streams) = 0;
  virtual void finish(Context& ctx, const Streams& streams, Record& out) = 0;
  virtual std::vector<std::string> segments() const = 0;  // their names

  // Whether make_state reads a source (an encoder's input) beside the tokens that are appended.
  virtual bool reads_source() const { return false; }
  // Token by token; refused by models that have no causal order.
  virtual ModelState make_state(Context& ctx, const Record& in, const StateOptions& options);
  virtual Record append(Context& ctx, const Record& in, ModelState& state);

  Inventory& inventory() { return *inventory_; }
  const Inventory& inventory() const { return *inventory_; }
  const Spec& spec() const { return inventory_->spec; }
  // A board on which the model's attachments listen; probes add their own listeners.
  TapBoard make_board() const;
  // A context with seed 0, in evaluation mode, that delivers to `board` (null: attachments alone).
  Context make_context(TapBoard* board = nullptr) const;

  // Moves every parameter; a record and its model must be on one device.
  void to(at::Device device);

  int64_t parameter_count() const;
  int64_t bytes() const;
  // Floating-point operations for one token that sees `context` tokens.
  double flops_per_token(int64_t context) const;
  std::vector<Tensor> trainable() const;

 private:
  friend std::shared_ptr<Model> build_model(const Spec&, uint64_t, at::ScalarType, bool);
  std::unique_ptr<Inventory> inventory_;
  mutable std::unique_ptr<TapBoard> board_;
};

// Builds a model from its Spec; parameters are initialized from the seed. With allocate = false nothing is
// stored (shapes, axes and names only).
std::shared_ptr<Model> build_model(const Spec& spec, uint64_t seed = 0, at::ScalarType dtype = at::kFloat,
                                   bool allocate = true);

}  // namespace formwork
