#include "formwork/models/built_in_specs.h"

#include <filesystem>

// Set by the assembler, see cmake/EmbedAssets.cmake.
extern "C" __attribute__((visibility("hidden"))) const char formwork_specs_begin[], formwork_specs_end[];

namespace formwork {
namespace {

const std::map<std::string, Json>& table() {
  static const auto specs = [] {
    std::map<std::string, Json> specs;
    const auto files = Json::parse(formwork_specs_begin, formwork_specs_end);
    for (const auto& [path, spec] : files.items()) specs[std::filesystem::path(path).stem()] = spec;
    return specs;
  }();
  return specs;
}

}  // namespace

std::vector<std::string> built_in_spec_names() {
  std::vector<std::string> names;
  for (const auto& [name, spec] : table()) names.push_back(name);
  return names;
}

Spec built_in_spec(const std::string& name) {
  const auto found = table().find(name);
  if (found == table().end()) fail_unknown("built-in Spec", name, built_in_spec_names());
  return Spec::from_json(found->second, name);
}

}  // namespace formwork
