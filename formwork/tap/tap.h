// Taps: named activations that can be read, replaced, differentiated, or have a trainable part attached.
// Names become slots when the model is built; a pass in which nothing listens pays one branch a tap.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "formwork/core/tensor.h"
#include "formwork/core/wildcard.h"

namespace formwork {

class Context;
using Slot = int32_t;

// Names of all taps of a model, in the order of building.
class TapNames {
 public:
  Slot add(const std::string& name);
  const std::string& name(Slot slot) const { return names_[static_cast<size_t>(slot)]; }
  const std::vector<std::string>& all() const { return names_; }
  // Slots whose name matches a pattern: '*' for any characters. Throws, naming the nearest, when none does.
  std::vector<Slot> match(const std::string& pattern) const;

 private:
  std::vector<std::string> names_;
};

struct TapEvent {
  Slot slot;
  const std::string& name;
  int64_t visit;  // 0 for the first delivery of this slot in this pass, then 1, ... (loops, experts)
};

// Returns the tensor that goes on: x itself when it only reads.
using Listener = std::function<Tensor(Context&, const TapEvent&, const Tensor& x)>;

// Listeners on the taps of a model: those of a pass, and the parts attached to it.
class TapBoard {
 public:
  explicit TapBoard(const TapNames& names) : names_(&names), hot_(names.all().size(), 0) {}
  bool hot(Slot slot) const { return hot_[static_cast<size_t>(slot)] != 0; }
  void listen(const std::string& pattern, Listener listener);
  void listen(Slot slot, Listener listener);
  // A part of the model itself: a function of x and the context, without side effects, that may be run again.
  void attach(Slot slot, Listener part);
  // Whether a listener, other than an attached part, is on a tap below this path.
  bool listens_below(const std::string& path) const;
  // Reads only.
  void read(const std::string& pattern, std::function<void(const TapEvent&, const Tensor&)> reader);
  Tensor deliver(Context& ctx, Slot slot, Tensor x);
  void start_pass();  // visit numbers begin again

 private:
  struct Ear {
    Slot slot;
    Listener listener;
    bool attached;
  };
  void add(Ear ear);

  const TapNames* names_;
  std::vector<uint8_t> hot_;
  std::vector<Ear> ears_;
  std::vector<int64_t> visits_;
};

}  // namespace formwork
