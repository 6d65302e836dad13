// Models that other programs wrote. A format knows its files by what a path looks like, turns what stands in
// them into a Spec, and gives the values of the parameters of the model that is built from it. Every command
// that takes a MODEL takes whatever a registered format accepts.
#pragma once
#include <filesystem>
#include <memory>

#include "formwork/core/build.h"
#include "formwork/core/factory.h"
#include "formwork/interop/safetensors.h"

namespace formwork {

// One model in such a format.
class ForeignModel {
 public:
  virtual ~ForeignModel() = default;
  virtual Spec spec() const = 0;
  // The value of every stored parameter of the model that was built, without allocation, from the Spec;
  // views of the mapped file where nothing has to be computed. An Error names the tensor that is in the way.
  virtual TensorMap tensors(const Inventory& inventory) const = 0;
  virtual int64_t bytes() const = 0;  // of the files that hold it
};

class ModelFormat {
 public:
  static const char* kind() { return "formats"; }
  static const char* noun() { return "model format"; }
  virtual ~ModelFormat() = default;
  // Whether a file or folder looks like this format; says nothing about its being whole.
  virtual bool accepts(const std::filesystem::path& path) const = 0;
  virtual std::unique_ptr<ForeignModel> open(const std::filesystem::path& path) const = 0;
};

template <>
class Registry<ModelFormat> : public Factory<ModelFormat> {};

// The model at `path` in the first format that accepts it; null where none does.
std::unique_ptr<ForeignModel> open_foreign_model(const std::filesystem::path& path);

}  // namespace formwork
