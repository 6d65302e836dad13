// Build: what a part's constructor talks to. It names parameters, axes and taps by the part's path, applies
// the Spec's tables (axes, sources, linear), and enters everything into the model's inventory.
#pragma once
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "formwork/core/param.h"
#include "formwork/core/spec.h"
#include "formwork/tap/tap.h"

namespace formwork {

class Attachment;
class Layer;
class LinearMap;
class Part;

// A restriction of an axis: the largest group that some part allows, and why.
struct AxisInfo {
  int64_t size = 0;
  Group group = Group::invertible;
  Pairs pairs = Pairs::halves;  // of its first `turned` entries
  int64_t turned = 0;
  std::string reason;  // of the restriction: "layers.0.norm: a gain for each channel"
};

// A norm whose gain and bias act between the stream and the maps that read its output tap.
struct NormInfo {
  std::string path;
  std::string type;
  std::string axis;  // that it normalizes over
  Json options;      // all of them
  Slot output = -1;
  std::string gain, bias;  // parameter names; empty where there is none
};

// A step of a stack, and the tap of the stream after it.
struct StepInfo {
  std::string name;
  Layer* layer;
  Slot stream;
  bool repeats;  // a loop runs it more than once
};

// What a model consists of.
struct Inventory {
  Inventory();
  ~Inventory();
  Inventory(const Inventory&) = delete;
  Inventory& operator=(const Inventory&) = delete;

  Spec spec;
  uint64_t seed = 0;
  at::ScalarType dtype = at::kFloat;
  bool allocate = true;  // false: shapes only (tensors stay on the meta device)

  std::deque<Param> params;
  std::map<std::string, Param*> by_name;  // shared names lead to one Param
  std::map<std::string, AxisInfo> axes;
  std::set<std::string> streams;  // the axes of streams between blocks
  TapNames taps;
  std::vector<Axis> tap_axes;  // of the last dimension of each tap; unnamed where the part did not say
  std::vector<LinearMap*> maps;
  std::vector<NormInfo> norms;
  std::map<std::string, Part*> parts;                     // by path
  std::vector<StepInfo> steps;                            // of stacks, in their order, each once
  std::map<std::string, std::string> types;               // registered names, by path
  std::vector<std::pair<Slot, std::string>> raw_reads;    // taps read by something other than a map
  std::vector<std::pair<std::string, std::string>> ties;  // (name, name it shares with)
  std::vector<std::unique_ptr<Attachment>> attachments;   // by the Spec's attach table
  std::vector<std::pair<Slot, Attachment*>> attached;     // and the taps that they are on
};

class Build {
 public:
  Build(Inventory& inventory, std::string path, Axis in, Axis out)
      : in(std::move(in)), out(std::move(out)), inventory_(&inventory), path_(std::move(path)) {}

  Axis in, out;     // the axes of the streams that this part reads and writes
  Slot input = -1;  // the tap of the tensor that this part reads; maps with the same input tap are siblings
  bool causal = true;                   // whether token mixers that can do both look at later tokens
  std::map<std::string, Axis> streams;  // the other streams that a part may read ("memory")
  std::vector<Axis> heads;  // inside attention: the axes whose product is the query heads (kv_heads, group)
  LinearMap* embedding = nullptr;  // the map that a tied head shares
  int64_t depth = 1;               // layers in the whole model, for depth-scaled initializations

  // A child scope; it reads and writes the same streams and has the same input tap.
  Build at(const std::string& name) const;
  const std::string& path() const { return path_; }
  std::string name(const std::string& suffix) const {
    return path_.empty() ? suffix : suffix.empty() ? path_ : path_ + "." + suffix;
  }
  Inventory& inventory() const { return *inventory_; }

  // What the Spec's "parts" table puts in the place of `spec` at this path (absent: an empty PartSpec).
  PartSpec resolve(const PartSpec& spec) const;

  // An axis of this part; the Spec's table overrides the size that the options ask for.
  Axis axis(const std::string& suffix, int64_t size, Group group = Group::invertible) const;
  // An axis of the whole model, by its full name.
  Axis global_axis(const std::string& name, int64_t size, Group group = Group::invertible) const;
  // An axis of a stream between blocks.
  Axis stream(const std::string& full, int64_t size) const;
  // Lowers what may be done to an axis, with the reason that a refusal will give.
  void restrict(const Axis& axis, Group group, const std::string& reason) const;

  // The same to rotary pairs, of the first `turned` entries; with more behind them nothing may be done.
  void restrict_to_pairs(const Axis& axis, Pairs pairs, int64_t turned, const std::string& reason) const;

  Param* param(const std::string& suffix, std::vector<Dim> dims, Rule rule) const;
  Slot tap(const std::string& suffix, const Axis& axis = {}) const;
  void register_part(Part& part) const;
  // Says that this part reads its input tap other than through a linear map, so a norm cannot fold into it.
  void reads_input_directly() const;

 private:
  Inventory* inventory_;
  std::string path_;
};

}  // namespace formwork
