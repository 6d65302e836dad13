// What the constructor of a runtime part talks to: the Build of the runtime. It finds tensors and sizes by
// the part's path and applies the Spec's tables (axes, parts, sources).
#pragma once
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "formwork/core/axis.h"
#include "formwork/core/spec.h"
#include "formwork/runtime/raw.h"

namespace formwork::runtime {

class LinearMap;

// What a model is made from, and what it had to convert.
struct Source {
  const Spec& spec;
  const Tensors& tensors;
  std::map<std::string, int64_t> axes = {};
  std::deque<std::vector<float>>& converted;
};

class Scope {
 public:
  Scope(Source& source, std::string path) : source_(&source), path_(std::move(path)) {}

  Axis in, out;                          // the streams that this part reads and writes
  std::vector<Axis> heads;               // inside attention: the axes whose product is the query heads
  const LinearMap* embedding = nullptr;  // the map that a tied head shares

  Scope at(const std::string& name) const;
  const std::string& path() const { return path_; }
  std::string name(const std::string& suffix) const;
  const Spec& spec() const { return source_->spec; }

  PartSpec resolve(const PartSpec& spec) const;
  Axis axis(const std::string& suffix, int64_t size) const { return global_axis(name(suffix), size); }
  // An axis of the whole model, by its full name; the Spec's table overrides the size that the options ask
  // for.
  Axis global_axis(const std::string& name, int64_t size) const;
  // One that an earlier part named.
  Axis known_axis(const std::string& name) const { return global_axis(name, source_->axes.at(name)); }

  // The tensor of that name, or of the one that it shares with; of this shape.
  const Raw& tensor(const std::string& suffix, const std::vector<int64_t>& shape) const;
  // The same in float32; it is copied where it is stored otherwise.
  const float* floats(const std::string& suffix, const std::vector<int64_t>& shape) const;
  // Memory that lives as long as the model.
  std::vector<float>& keep(std::vector<float> values) const;

 private:
  Source* source_;
  std::string path_;
};

[[noreturn]] void refuse(const std::string& path, const std::string& noun, const std::string& name,
                         const std::vector<std::string>& known);

}  // namespace formwork::runtime
