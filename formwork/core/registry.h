// The registry: every kind of part is found by name. A part registers itself in its own .cpp file with
//
//   FORMWORK_PART(TokenMixer, Attention, "attention", "softmax attention, one line of help");
//
// and its class has a nested Options struct and a constructor (Build&, const Options&).
#pragma once
#include <map>
#include <memory>
#include <string>

#include "formwork/core/build.h"
#include "formwork/core/options.h"

namespace formwork {

template <class Kind>
class Registry {
 public:
  struct Entry {
    std::string doc;
    std::unique_ptr<Kind> (*make)(Build&, const Json&);
    Json (*defaults)(const Json&);  // every option with its value
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
  static const Entry& find(const std::string& name, const std::string& where) {
    const auto found = entries().find(name);
    if (found == entries().end())
      fail_unknown(where.empty() ? Kind::kind() : where + ": " + Kind::kind(), name, names());
    return found->second;
  }
  static std::unique_ptr<Kind> make(Build& build, const PartSpec& spec) {
    const PartSpec chosen = build.resolve(spec);
    return find(chosen.type, build.path()).make(build, chosen.options);
  }
  template <class T>
  static bool add(const char* name, const char* doc) {
    using Options = typename T::Options;
    Entry entry;
    entry.doc = doc;
    entry.make = [](Build& build, const Json& options) -> std::unique_ptr<Kind> {
      return std::make_unique<T>(build, parse_options<Options>(options, build.path()));
    };
    entry.defaults = [](const Json& options) {
      return options_json(parse_options<Options>(options, "options"));
    };
    entry.schema = [] { return options_json(Options{}, true); };
    entries().emplace(name, entry);
    return true;
  }
};

// Lists of registered parts by kind name, for `formwork list` and the conformance suites.
struct KindListing {
  const char* kind;
  std::map<std::string, std::string> (*docs)();
};
std::vector<KindListing>& kind_listings();

#define FORMWORK_KIND(Kind)                                                                             \
  [[maybe_unused]] static const bool formwork_kind_##Kind = [] {                                        \
    ::formwork::kind_listings().push_back({Kind::kind(), [] {                                           \
                                             std::map<std::string, std::string> docs;                   \
                                             for (auto& [n, e] : ::formwork::Registry<Kind>::entries()) \
                                               docs[n] = e.doc;                                         \
                                             return docs;                                               \
                                           }});                                                         \
    return true;                                                                                        \
  }()

#define FORMWORK_PART(Kind, Type, name, doc) \
  [[maybe_unused]] static const bool formwork_part_##Type = ::formwork::Registry<Kind>::add<Type>(name, doc)

}  // namespace formwork
