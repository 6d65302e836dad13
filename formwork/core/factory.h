// Registries of things that are made from their options and some arguments, not from a Build: optimizers,
// schedules, tasks. A kind K declares
//
//   template <> class Registry<K> : public Factory<K, Arguments...> {};
//
// and then FORMWORK_PART and FORMWORK_KIND work for it as for parts; a constructor is (Arguments..., const
// Options&). A kind with members that other registries hold names them in `static void K::discover()`.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "formwork/core/registry.h"

namespace formwork {

template <class Kind, class... Arguments>
class Factory {
 public:
  struct Entry {
    std::string doc;
    std::function<std::unique_ptr<Kind>(Arguments..., const Json&)> make;
    std::function<Json(const Json&)> defaults;  // every option with its value
    std::function<Json()> schema;
  };

  static std::map<std::string, Entry>& table() {
    static std::map<std::string, Entry> table;
    return table;
  }
  static std::map<std::string, Entry>& entries() {
    if constexpr (requires { Kind::discover(); }) Kind::discover();
    return table();
  }
  static std::vector<std::string> names() {
    std::vector<std::string> names;
    for (const auto& [name, entry] : entries()) names.push_back(name);
    return names;
  }
  static const Entry& find(const std::string& name) {
    const auto& all = entries();
    const auto found = all.find(name);
    if (found == all.end()) fail_unknown(Kind::kind(), name, names());
    return found->second;
  }
  static std::unique_ptr<Kind> make(const PartSpec& spec, Arguments... arguments) {
    return find(spec.type).make(arguments..., spec.options);
  }
  // The spec with every option and its value, as echoed into results.
  static Json in_force(const PartSpec& spec) {
    Json json = {{"type", spec.type}};
    json.update(find(spec.type).defaults(spec.options));
    return json;
  }
  template <class T>
  static bool add(const char* name, const char* doc) {
    using Options = typename T::Options;
    const std::string where = fmt::format("{} '{}'", Kind::kind(), name);
    Entry entry;
    entry.doc = doc;
    entry.make = [where](Arguments... arguments, const Json& options) -> std::unique_ptr<Kind> {
      return std::make_unique<T>(arguments..., parse_options<Options>(options, where));
    };
    entry.defaults = [where](const Json& options) {
      return options_json(parse_options<Options>(options, where));
    };
    entry.schema = [] { return options_json(Options{}, true); };
    table().emplace(name, entry);
    return true;
  }
};

}  // namespace formwork
