#include "formwork/runtime/linear_map.h"

namespace formwork::runtime {
namespace {

std::vector<Dim> bias_shape(const Need& need) {
  if (need.banks > 0) return {Dim::plain(need.banks), need.out};
  return {need.out};
}

std::unique_ptr<LinearMap> make_from(const Scope& scope, const std::string& name, Need need,
                                     const PartSpec& spec) {
  Scope child = scope.at(name);
  const auto& table = Registry<LinearMap>::entries();
  const auto found = table.find(spec.type);
  if (found == table.end()) refuse(child.path(), LinearMap::noun(), spec.type, Registry<LinearMap>::names());
  Json options = spec.options;
  if (const auto bias = options.find("bias"); bias != options.end()) {
    if (!bias->is_boolean())
      fail("linear map of {}: option 'bias' must be true or false, found {}", child.path(), bias->dump());
    need.bias = bias->get<bool>();
    options.erase(bias);
  }
  return found->second.make(child, need, options);
}

}  // namespace

LinearMap::LinearMap(Scope& scope, const Need& need) : need_(need), path_(scope.path()) {
  if (need.bias) bias_ = scope.floats("bias", bias_shape(need));
}

void LinearMap::require_single(const char* type) const {
  if (need_.banks > 0)
    fail("{}: '{}' holds a single matrix, and this map is a bank of {}", path_, type, need_.banks);
}

void LinearMap::run(Pass& pass, int64_t rows, In x, Out y, int64_t bank, const float* more) const {
  const float* own = bias_ ? bias_ + bank * outputs() : nullptr;
  product(pass, rows, x, y, bank, own ? own : more);
  if (!own || !more) return;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t o = 0; o < outputs(); ++o) y.data[r * y.stride + o] += more[o];
}

void LinearMap::rows(Pass&, const int64_t*, int64_t, float*) const {
  fail("{}: this representation of an embedding has no runtime form", path_);
}

void LinearMap::transposed(Pass& pass, int64_t rows, const float* x, float* y) const {
  const Arena::Frame frame(pass.arena);
  float* row = pass.arena.take(inputs());
  std::fill_n(y, rows * inputs(), 0.0f);
  for (int64_t o = 0; o < outputs() && rows > 0; ++o) {
    this->rows(pass, &o, 1, row);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t i = 0; i < inputs(); ++i) y[r * inputs() + i] += x[r * outputs() + o] * row[i];
  }
}

std::unique_ptr<LinearMap> make_linear(const Scope& scope, const std::string& name, const Need& need) {
  const Json* entry = lookup(scope.spec().linear, scope.name(name));
  return make_from(scope, name, need,
                   entry ? PartSpec::from_json(*entry, "linear map of " + scope.name(name)) : "dense");
}

std::unique_ptr<LinearMap> make_optional_linear(const Scope& scope, const std::string& name,
                                                const Need& need) {
  const auto& table = scope.spec().linear;
  const auto entry = table.find(scope.name(name));
  if (entry == table.end()) return nullptr;
  return make_from(scope, name, need, PartSpec::from_json(*entry, scope.name(name)));
}

std::unique_ptr<LinearMap> make_nested(const Scope& scope, const std::string& name, const Need& need) {
  if (auto named = make_optional_linear(scope, name, need)) return named;
  return make_from(scope, name, need, "dense");
}

}  // namespace formwork::runtime
