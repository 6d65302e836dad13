#include "formwork/models/model_io.h"

#include <filesystem>

#include "formwork/core/file.h"
#include "formwork/interop/companions.h"
#include "formwork/interop/model_format.h"

namespace formwork {

TensorMap model_tensors(const Model& model) {
  TensorMap tensors;
  for (const auto& param : model.inventory().params)
    if (param.value.defined()) tensors[param.name] = param.value.detach();
  return tensors;
}

namespace {

void check_names(const Model& model, const TensorMap& tensors, const std::string& where) {
  std::vector<std::string> missing, unexpected;
  std::map<std::string, bool> known;
  for (const auto& param : model.inventory().params) {
    known[param.name] = true;
    if (!tensors.count(param.name)) missing.push_back(param.name);
  }
  for (const auto& [name, tensor] : tensors)
    if (!known.count(name)) unexpected.push_back(name);
  const auto first = [](const std::vector<std::string>& names) {
    const auto shown =
        std::vector<std::string>(names.begin(), names.begin() + std::min<size_t>(3, names.size()));
    return fmt::format("{}{}", fmt::join(shown, ", "),
                       names.size() > 3 ? fmt::format(" and {} more", names.size() - 3) : "");
  };
  if (missing.empty() && unexpected.empty()) return;
  fail("{}: weights do not fit the Spec: missing {}; unexpected {}", where,
       missing.empty() ? "none" : first(missing), unexpected.empty() ? "none" : first(unexpected));
}

}  // namespace

namespace {

// That of the parameters which are cast with the model.
at::ScalarType dtype_of(const Model& model, const TensorMap& tensors) {
  for (const auto& param : model.inventory().params)
    if (param.rule.dtype == at::kFloat && !param.rule.keep_dtype) return tensors.at(param.name).scalar_type();
  return model.inventory().dtype;
}

}  // namespace

void load_tensors(Model& model, const TensorMap& tensors, const std::string& where) {
  check_names(model, tensors, where);
  model.inventory().dtype = dtype_of(model, tensors);
  for (auto& param : model.inventory().params) {
    const auto& tensor = tensors.at(param.name);
    std::vector<int64_t> shape;
    for (const auto& dim : param.dims) shape.push_back(dim.stored());
    if (tensor.sizes() != at::IntArrayRef(shape))
      fail("{}: '{}': expected shape [{}], found [{}]", where, param.name, fmt::join(shape, ", "),
           fmt::join(tensor.sizes().vec(), ", "));
    if (tensor.is_floating_point() != at::isFloatingType(param.rule.dtype))
      fail("{}: '{}': expected dtype {}, found {}", where, param.name, c10::toString(param.rule.dtype),
           c10::toString(tensor.scalar_type()));
    param.value = tensor.detach();
    if (!param.rule.frozen && param.value.is_floating_point()) param.value.set_requires_grad(true);
  }
}

void save_model(const Model& model, const std::string& folder) {
  std::filesystem::create_directories(folder);
  write_safetensors(folder + "/model.safetensors", model_tensors(model));
  auto spec = model.spec();
  if (const auto own = spec.meta.find("tokenizer"); own != spec.meta.end() && own->is_string()) {
    copy_companions(own->get<std::string>(), folder);
    spec.meta.erase("tokenizer");
  }
  write_atomically(folder + "/formwork.json", spec.to_json().dump(2) + "\n");
}

namespace {

namespace fs = std::filesystem;

bool is_ours(const std::string& path) { return fs::exists(path + "/formwork.json"); }

void name_tokenizer(Spec& spec, const std::string& path) {
  if (spec.meta.contains("tokenizer") || !has_tokenizer(path)) return;
  const auto file = fs::path(path) / "tokenizer.json";
  spec.meta["tokenizer"] = fs::exists(file) ? file.string() : path;
}

// What is at `path`: a model of others, or null for one of ours. Where neither is, it counts as ours, whose
// reader says what is missing.
std::unique_ptr<ForeignModel> open_other(const std::string& path) {
  return is_ours(path) ? nullptr : open_foreign_model(path);
}

Spec spec_of_folder(const std::string& path, const ForeignModel* other) {
  auto spec = other ? other->spec() : Spec::from_file(path + "/formwork.json");
  name_tokenizer(spec, path);
  return spec;
}

}  // namespace

bool holds_model(const std::string& path) {
  return is_ours(path) ? fs::exists(path + "/model.safetensors") : open_foreign_model(path) != nullptr;
}

Spec read_spec(const std::string& path) { return spec_of_folder(path, open_other(path).get()); }

std::shared_ptr<Model> load_model(const std::string& path, std::optional<at::ScalarType> dtype) {
  const auto other = open_other(path);
  auto model =
      build_model(spec_of_folder(path, other.get()), 0, dtype.value_or(at::kFloat), /*allocate=*/false);
  auto tensors = other ? other->tensors(model->inventory()) : read_safetensors(path);
  for (auto& [name, tensor] : tensors)
    if (dtype && tensor.is_floating_point()) tensor = tensor.to(*dtype);
  load_tensors(*model, tensors, path);
  return model;
}

int64_t bytes_on_disk(const std::string& path) {
  if (const auto other = open_other(path)) return other->bytes();
  return static_cast<int64_t>(fs::file_size(path + "/model.safetensors") +
                              fs::file_size(path + "/formwork.json"));
}

}  // namespace formwork
