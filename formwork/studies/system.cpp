#include "formwork/studies/system.h"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "formwork/core/error.h"
#include "formwork/core/registry.h"
#include "formwork/studies/recorded_run.h"

// Set by the assembler, see cmake/EmbedAssets.cmake.
extern "C" __attribute__((visibility("hidden"))) const char formwork_systems_begin[], formwork_systems_end[];

namespace formwork {
namespace {

System read(const std::string& path, const Json& json) {
  static const std::vector<std::string> known = {"number", "name",    "family", "kind",  "paper", "parts",
                                                 "files",  "missing", "recipe", "claim", "exact", "parity"};
  System system;
  system.key = std::filesystem::path(path).stem();
  try {
    for (const auto& [key, value] : json.items())
      if (std::find(known.begin(), known.end(), key) == known.end()) fail_unknown(path + ": key", key, known);
    json.at("number").get_to(system.number);
    json.at("name").get_to(system.name);
    json.at("family").get_to(system.family);
    json.at("kind").get_to(system.kind);
    const auto& paper = json.at("paper");
    paper.at("title").get_to(system.paper.title);
    paper.at("year").get_to(system.paper.year);
    system.paper.authors = paper.value("authors", "");
    system.paper.arxiv = paper.value("arxiv", "");
    system.parts = json.value("parts", system.parts);
    system.files = json.value("files", system.files);
    system.missing = json.value("missing", system.missing);
    system.recipe = json.value("recipe", "");
    system.claim = json.value("claim", "");
    system.exact = json.value("exact", system.exact);
    if (const auto parity = json.find("parity"); parity != json.end())
      system.parity = {parity->at("with"), parity->at("how"), parity->at("error")};
  } catch (const Json::exception& error) {
    fail("{}: {}", path, error.what());
  }
  return system;
}

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

bool is_called(const System& system, const std::string& name) {
  const bool digits = !name.empty() && name.size() < 10 && std::all_of(name.begin(), name.end(), [](char c) {
    return std::isdigit(static_cast<unsigned char>(c));
  });
  if (digits) return system.number == std::stoll(name);
  const auto asked = lower(name);
  return asked == system.key || asked == lower(system.name);
}

}  // namespace

bool is_registered(const std::string& kind, const std::string& name) {
  for (const auto& listing : kind_listings())
    if (kind == listing.kind) return listing.docs().count(name) > 0;
  return false;
}

std::string System::state() const {
  if (parts.empty()) return "absent";
  bool all = !recipe.empty() && is_registered("studies", recipe) && missing.empty();
  for (const auto& [part_kind, names] : parts)
    for (const auto& part : names) all = all && is_registered(part_kind, part);
  if (!all) return "partly";
  if (const auto* run = recorded_run(key); run && run->holds()) return "claim";
  if (!parity.with.empty()) return "parity";
  return exact.empty() ? "built" : "exact";
}

const std::vector<std::string>& system_states() {
  static const std::vector<std::string> states = {"absent", "partly", "built", "exact", "parity", "claim"};
  return states;
}

const std::vector<System>& systems() {
  static const auto list = [] {
    std::vector<System> list;
    const auto files = Json::parse(formwork_systems_begin, formwork_systems_end);
    for (const auto& [path, json] : files.items()) list.push_back(read(path, json));
    std::sort(list.begin(), list.end(), [](const System& a, const System& b) { return a.number < b.number; });
    return list;
  }();
  return list;
}

const System* find_system(const std::string& name) {
  for (const auto& system : systems())
    if (is_called(system, name)) return &system;
  return nullptr;
}

const System& require_system(const std::string& name) {
  if (const auto* found = find_system(name)) return *found;
  std::vector<std::string> names;
  for (const auto& system : systems()) names.push_back(system.key);
  const auto near = nearest(name, names);
  if (near.empty()) fail("unknown system '{}'; `formwork systems` lists them", name);
  fail("unknown system '{}'; did you mean '{}'?", name, near);
}

}  // namespace formwork
