// Factories: named things that are made from their options and some arguments. Parts are made from a Build
// (core/registry.h). A kind K of things that are not built into a model (optimizers, schedules, tasks,
// transforms) declares
//
//   template <> class Registry<K> : public Factory<K, Arguments...> {};
//
// A thing enters itself in its own .cpp file with
//
//   FORMWORK_PART(TokenMixer, Attention, "attention", "softmax attention, one line of help");
//
// and its class has a nested Options struct and a constructor (Arguments..., const Options&). A kind says its
// name in lists, `kind()`, and in messages, `noun()`; one with members that other registries hold names them
// in `static void K::discover()`.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "formwork/core/options.h"

namespace formwork {

template <class Kind>
class Registry;

// The argument of a factory whose things only ask where they stand.
struct Place {
  std::string path;
};

// Where options stand, for messages about them: "optimizer 'lion'"; the path of a part (core/registry.h).
template <class... Arguments>
std::string place_of_options(const std::string& what, const Arguments&...) {
  return what;
}
inline std::string place_of_options(const std::string&, const Place& place) { return place.path; }

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
  static std::map<std::string, std::string> docs() {
    std::map<std::string, std::string> docs;
    for (const auto& [name, entry] : entries()) docs[name] = entry.doc;
    return docs;
  }
  // `where` is the place that names it; empty: none.
  static const Entry& find(const std::string& name, const std::string& where = "") {
    const auto& all = entries();
    const auto found = all.find(name);
    if (found == all.end())
      fail_unknown(where.empty() ? Kind::noun() : fmt::format("{}: {}", where, Kind::noun()), name, names());
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
    const std::string what = fmt::format("{} '{}'", Kind::noun(), name);
    Entry entry;
    entry.doc = doc;
    entry.make = [what](Arguments... arguments, const Json& options) -> std::unique_ptr<Kind> {
      const auto place = place_of_options(what, arguments...);
      return std::make_unique<T>(arguments..., parse_options<Options>(options, place));
    };
    entry.defaults = [what](const Json& options) {
      return options_json(parse_options<Options>(options, what));
    };
    entry.schema = [] { return options_json(Options{}, true); };
    table().emplace(name, entry);
    return true;
  }
};

// What is registered, by kind, for `formwork list` and the conformance suites.
struct KindListing {
  const char* kind;
  std::map<std::string, std::string> (*docs)();
  Json (*schema)(const std::string& name);  // the options of one: {name: {type, default, description, ...}}
};
std::vector<KindListing>& kind_listings();

#define FORMWORK_KIND(Kind)                                                                         \
  [[maybe_unused]] static const bool formwork_kind_##Kind = [] {                                    \
    ::formwork::kind_listings().push_back(                                                          \
        {Kind::kind(), [] { return ::formwork::Registry<Kind>::docs(); },                           \
         [](const std::string& name) { return ::formwork::Registry<Kind>::find(name).schema(); }}); \
    return true;                                                                                    \
  }()

#define FORMWORK_PART(Kind, Type, name, doc) \
  [[maybe_unused]] static const bool formwork_part_##Type = ::formwork::Registry<Kind>::add<Type>(name, doc)

}  // namespace formwork
