// What the constructor of a runtime part talks to: the Build of the runtime. It finds tensors and sizes by
// the part's path and applies the Spec's tables (axes, parts, sources).
#pragma once
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "formwork/core/axis.h"
#include "formwork/core/error.h"
#include "formwork/core/raw.h"
#include "formwork/core/spec.h"
#include "formwork/interop/parameters.h"

namespace formwork::runtime {

class LinearMap;
class OtherSteps;
class Zeros;

// What a model keeps beside the tensors that it is given: those in another type, and those put together.
struct Kept {
  std::deque<std::vector<float>> converted;
  std::deque<Raw> joined;
};

// What a model is made from. Where `asked` is not null, there are no tensors: what the parts ask for is
// written there, and they read zeros.
struct Source {
  const Spec& spec;
  const RawMap& tensors;
  Kept& kept;
  Parameters* asked = nullptr;
  Zeros* zeros = nullptr;
  const OtherSteps* others = nullptr;  // null: what has no runtime form is refused
  std::map<std::string, int64_t> axes = {};
};

// The dimensions of a tensor, by their axes or by their sizes alone.
struct Shape {
  std::vector<Dim> dims;

  Shape(std::vector<Dim> dims) : dims(std::move(dims)) {}
  Shape(const std::vector<int64_t>& sizes) {
    for (const int64_t size : sizes) dims.push_back(Dim::plain(size));
  }
  Shape(std::initializer_list<int64_t> sizes) : Shape(std::vector<int64_t>(sizes)) {}
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
  const OtherSteps* others() const { return source_->others; }

  PartSpec resolve(const PartSpec& spec) const;
  Axis axis(const std::string& suffix, int64_t size) const { return global_axis(name(suffix), size); }
  // An axis of the whole model, by its full name; the Spec's table overrides the size that the options ask
  // for.
  Axis global_axis(const std::string& name, int64_t size) const;
  // One that an earlier part named.
  Axis known_axis(const std::string& name) const { return global_axis(name, source_->axes.at(name)); }

  // The tensor of that name, or of the one that it shares with; of this shape, and perhaps in pieces.
  Raw tensor(const std::string& suffix, const Shape& shape) const;
  // Its values, in one piece and of this type.
  const void* values(const std::string& suffix, const Shape& shape, Dtype dtype) const;
  // Its values in float32; they are copied where they are stored otherwise.
  const float* floats(const std::string& suffix, const Shape& shape) const;
  // The same of a tensor that follows from the options, so that files of others need not have it.
  const float* fixed(const std::string& suffix, const Shape& shape, const std::vector<float>& initial) const;
  // Memory that lives as long as the model.
  std::vector<float>& keep(std::vector<float> values) const;

 private:
  Raw asked(const std::string& full, Shape shape, Dtype dtype) const;
  Raw found(const std::string& full, const Shape& shape) const;
  Raw get(const std::string& suffix, const Shape& shape, Dtype dtype) const;

  Source* source_;
  std::string path_;
};

// A part, or an option of it, that the runtime cannot run.
class NoRuntimeForm : public Error {
 public:
  using Error::Error;
};

// "<path>: <what> has no runtime form".
template <class... Args>
[[noreturn]] void refuse_form(const std::string& path, fmt::format_string<Args...> what, Args&&... args) {
  throw NoRuntimeForm(
      fmt::format("{}: {} has no runtime form", path, fmt::format(what, std::forward<Args>(args)...)));
}
// The same of a part whose name is none of those `known`.
[[noreturn]] void refuse(const std::string& path, const std::string& noun, const std::string& name,
                         const std::vector<std::string>& known);

}  // namespace formwork::runtime
