// What flows beside the streams through one pass. A part takes from it what it names, so no signature grows.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "formwork/core/layout.h"
#include "formwork/core/tensor.h"
#include "formwork/tap/tap.h"

namespace formwork {

struct Param;
class Model;

struct Mode {
  bool train = false;                 // dropout, stochastic depth, batch statistics
  bool twice_differentiable = false;  // only ATen operations, so that gradients have gradients
  bool checkpoint = false;            // recompute each segment in the backward pass
  bool recomputing = false;           // ... which happens now: running statistics have had this pass already
};

// A named tensor between blocks, with its own layout, and the way back to the caller's order of tokens.
struct Stream {
  Tensor x;
  Layout layout;
  std::shared_ptr<const Compaction> compaction = nullptr;
};
using Streams = std::map<std::string, Stream>;

// Random draws by name (seam 7). `sample` draws from the distribution; `argmax` takes its mode.
enum class Estimator { sample, argmax };

class Context {
 public:
  Mode mode;
  const Layout* layout = nullptr;    // of the stream that the running part reads
  const Streams* streams = nullptr;  // the others (cross attention reads "memory")
  double progress = 0;               // of training, in [0, 1]
  uint64_t seed = 0;                 // of every draw of this pass; the trainer derives it from seed and step
  std::map<std::string, int64_t> choices;                 // active depth, experts, ...; see choice()
  std::vector<std::pair<std::string, Tensor>> auxiliary;  // losses, already weighted
  TapBoard* taps = nullptr;                               // null: nothing listens and nothing is attached
  // Set by a part at a stream's tap that put tokens behind those of the stream: the layout from there on.
  std::optional<Layout> entered;

  // x, or what a listener or an attached part made of it. One branch when nothing listens.
  Tensor tap(Slot slot, Tensor x) {
    return taps && taps->hot(slot) ? taps->deliver(*this, slot, std::move(x)) : x;
  }

  // The same at the tap of a stream, whose layout changes where tokens entered.
  Tensor tap(Slot slot, Tensor x, Layout& stream) {
    x = tap(slot, std::move(x));
    take_entered(stream);
    return x;
  }
  void take_entered(Layout& stream) {
    if (entered) stream = std::move(*entered), entered.reset();
  }

  // The choice made for `name` in this pass, or `otherwise`.
  int64_t choice(const std::string& name, int64_t otherwise) const;

  // Bernoulli(p) of a shape, as 0 or 1 in x's dtype; `name` is a full path, each call of one pass a new draw.
  Tensor draw_bernoulli(const std::string& name, at::IntArrayRef shape, double p,
                        const at::TensorOptions& options);
  // U(low, high) of a shape.
  Tensor draw_uniform(const std::string& name, at::IntArrayRef shape, double low, double high,
                      const at::TensorOptions& options);
  // k of the last dimension without replacement, in proportion to weights [.., n]: indices [.., k].
  Tensor draw_top(const std::string& name, const Tensor& weights, int64_t k, Estimator estimator);
  // Dropout by its published rule: x * Bernoulli(1-p) / (1-p) in training, x otherwise.
  Tensor dropout(const std::string& name, const Tensor& x, double p);

  // The value of a parameter in this pass: its tensor, or what its source made, computed once a pass.
  const Tensor& value(const Param& param);
  // A context in which the rest of this pass can be run a second time: the same draws, losses of its own.
  Context replay() const;
  void add_loss(std::string name, Tensor loss) { auxiliary.emplace_back(std::move(name), std::move(loss)); }

 private:
  uint64_t next_draw(const std::string& name);
  std::unordered_map<std::string, uint64_t> draws_;
  std::unordered_map<const Param*, Tensor> values_;
};

// Points ctx at the layout of another stream for the length of a scope.
class LayoutScope {
 public:
  LayoutScope(Context& ctx, const Layout& layout) : ctx_(ctx), before_(ctx.layout) { ctx.layout = &layout; }
  ~LayoutScope() { ctx_.layout = before_; }
  LayoutScope(const LayoutScope&) = delete;
  LayoutScope& operator=(const LayoutScope&) = delete;

 private:
  Context& ctx_;
  const Layout* before_;
};

// The mean over the real tokens of a stream, for auxiliary losses and pooling: x [B, T, ...] -> [...].
Tensor mean_over_tokens(const Context& ctx, const Tensor& x);

}  // namespace formwork
