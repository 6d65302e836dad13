// Catalogs: named things that are made from options alone (transforms, optimizers, tasks), as the registry
// holds parts, which are also built into a model.
//
//   FORMWORK_ENTRY(Transform, SliceGpt, "slicegpt", "one line of help");
#pragma once
#include <map>
#include <memory>
#include <string>

#include "formwork/core/options.h"
#include "formwork/core/registry.h"

namespace formwork {

template <class Kind>
class Catalog {
 public:
  struct Entry {
    std::string doc;
    std::unique_ptr<Kind> (*make)(const Json&, const std::string&);
    Json (*settings)(const Json&);  // every option with its value
    Json (*schema)();
  };
  static std::map<std::string, Entry>& entries() {
    static std::map<std::string, Entry> table;
    return table;
  }
  static std::vector<std::string> names() {
    std::vector<std::string> names;
    for (const auto& [name, entry] : entries()) names.push_back(name);
    return names;
  }
  static const Entry& find(const std::string& name) {
    const auto found = entries().find(name);
    if (found == entries().end()) fail_unknown(Kind::kind(), name, names());
    return found->second;
  }
  static std::unique_ptr<Kind> make(const std::string& name, const Json& options) {
    return find(name).make(options, name);
  }
  template <class T>
  static bool add(const char* name, const char* doc) {
    using Options = typename T::Options;
    entries().emplace(
        name,
        Entry{doc,
              [](const Json& options, const std::string& where) {
                return std::unique_ptr<Kind>(std::make_unique<T>(parse_options<Options>(options, where)));
              },
              [](const Json& options) { return options_json(parse_options<Options>(options, "options")); },
              [] { return options_json(Options{}, true); }});
    return true;
  }
};

#define FORMWORK_CATALOG(Kind)                                                                         \
  [[maybe_unused]] static const bool formwork_catalog_##Kind = [] {                                    \
    ::formwork::kind_listings().push_back({Kind::kind(), [] {                                          \
                                             std::map<std::string, std::string> docs;                  \
                                             for (auto& [n, e] : ::formwork::Catalog<Kind>::entries()) \
                                               docs[n] = e.doc;                                        \
                                             return docs;                                              \
                                           }});                                                        \
    return true;                                                                                       \
  }()

#define FORMWORK_ENTRY(Kind, Type, name, doc) \
  [[maybe_unused]] static const bool formwork_entry_##Type = ::formwork::Catalog<Kind>::add<Type>(name, doc)

}  // namespace formwork
