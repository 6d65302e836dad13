// Models on disk, whoever wrote them: what a path holds is decided here alone, for the full program and for
// the runtime, and so without LibTorch. A folder with formwork.json is Formwork's own. Otherwise a format
// knows its files by what the path looks like, turns what stands in them into a Spec, and gives the values of
// the parameters of the model that is built from it. Every command that takes a MODEL takes whatever a
// registered format accepts.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>

#include "formwork/core/factory.h"
#include "formwork/core/spec.h"
#include "formwork/interop/parameters.h"

namespace formwork {

// One model in such a format.
class StoredModel {
 public:
  virtual ~StoredModel() = default;
  virtual Spec spec() const = 0;
  // The value of every parameter that is stored; views of the mapped file where nothing has to be computed.
  // `parameters` tells those of the model that was built from the Spec, where the format asks. An Error names
  // the tensor that is in the way.
  virtual RawMap tensors(const std::function<Parameters()>& parameters) const = 0;
  virtual int64_t bytes() const = 0;  // of the files that hold it
};

class ModelFormat {
 public:
  static const char* kind() { return "formats"; }
  static const char* noun() { return "model format"; }
  virtual ~ModelFormat() = default;
  // Whether a file or folder looks like this format; says nothing about its being whole.
  virtual bool accepts(const std::filesystem::path& path) const = 0;
  virtual std::unique_ptr<StoredModel> open(const std::filesystem::path& path) const = 0;
};

template <>
class Registry<ModelFormat> : public Factory<ModelFormat> {};

// The model at `path`. What nothing accepts counts as Formwork's own, whose reader says what is missing.
std::unique_ptr<StoredModel> open_model(const std::filesystem::path& path);

// Whether there is a model with weights at `path`.
bool holds_model(const std::filesystem::path& path);

// The Spec of the model at `path`, which is open. A tokenizer beside it is named in meta, unless that holds
// one.
Spec spec_of_model(const StoredModel& model, const std::filesystem::path& path);

}  // namespace formwork
