// Tasks: data (loaded or generated), an objective and metrics.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "formwork/core/factory.h"
#include "formwork/heads/head.h"
#include "formwork/tasks/metrics.h"

namespace formwork {

class Model;

// How much a batch holds, padding left out.
struct BatchSize {
  int64_t rows = 0, tokens = 0, targets = 0;
};

struct Batch {
  Record inputs;  // of the model
  // [B, T] or [B] (or of drafts [B, A, k]) int64, -100 where there is none; or numbers [B, T, k], not a
  // number where there is none.
  Tensor targets;

  int64_t rows() const { return targets.size(0); }
  int64_t target_count() const;
  int64_t token_count() const;  // real input tokens; of inputs that are no tokens (images), rows
  BatchSize size() const { return {rows(), token_count(), target_count()}; }
  Batch narrow(int64_t first, int64_t rows) const;
};

// Sums over evaluation batches, by name; metrics are ratios of them, so that they do not depend on how the
// samples were batched.
using Sums = std::map<std::string, double>;

class Task {
 public:
  static const char* kind() { return "tasks"; }
  static const char* noun() { return "task"; }
  static void discover();  // enters the generated tasks into the registry
  virtual ~Task() = default;

  // Takes the tokenizer and label names from `meta` (a Spec's), or else makes them and enters them there.
  // Everything below needs it; a second call does nothing.
  virtual void prepare(Json& meta) = 0;
  // Gives a new model's Spec the options that the task needs; a vocabulary is rounded up to the Spec's
  // `vocab_multiple`.
  void shape(Spec& spec) const;
  // What a model's options must be: {"vocab": 256}, {"head": {"type": "classifier", "classes": 3}}.
  virtual Json model_needs() const = 0;
  // Throws when the model cannot do this task: its vocabulary is too small.
  virtual void check(const Model& model) const;

  // The rows of update `step`: a function of (seed, step) alone.
  virtual Batch training_batch(int64_t rows, uint64_t seed, int64_t step) const = 0;
  // Evaluation samples [index * rows, (index + 1) * rows); the last batch has those that are left.
  virtual int64_t evaluation_samples() const = 0;
  virtual Batch evaluation_batch(int64_t rows, int64_t index) const = 0;

  // The training objective: scale * the sum of the losses of all targets.
  virtual Tensor objective(const Record& out, const Batch& batch, double scale) const = 0;
  // What a pass of `model` over `part` adds to the loss of an update whose rows are `whole`: sums over the
  // part, divided by what the whole update holds, so that the parts that it is run in add up. By default the
  // objective.
  virtual Tensor loss(Model& model, Context& ctx, const Batch& part, const BatchSize& whole) const;
  virtual void measure(const Record& out, const Batch& batch, Sums& sums) const = 0;
  virtual Metrics metrics(const Sums& sums) const = 0;
};

template <>
class Registry<Task> : public Factory<Task> {};

}  // namespace formwork
