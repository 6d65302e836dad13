#include "formwork/core/sources.h"

#include "formwork/core/wildcard.h"

namespace formwork {
namespace {

// An entry {"type": "stored"} with "frozen", "init" or both; the others are shared.
bool is_stored(const std::string& pattern, const Json& source) {
  const auto type = source.is_object() ? source.value("type", Json()) : Json();
  if (type == "stored") {
    const size_t frozen = source.contains("frozen") && source["frozen"].is_boolean();
    const size_t init = source.contains("init") && source["init"].is_string();
    if (frozen + init > 0 && source.size() == 1 + frozen + init) return true;
  }
  if (type != "shared" || !source.contains("with"))
    fail(
        R"(source of '{}': expected {{"type": "shared", "with": name}} or {{"type": "stored", "frozen": true, )"
        R"("init": "normal:0.02"}} with one or both, found {})",
        pattern, source.dump());
  return false;
}

// What the stored entries say about `full` under `key`: that of its own name, or else of the longest pattern.
Json stored_value(const Spec& spec, const std::string& full, const char* key) {
  size_t longest = 0;
  Json value;
  for (const auto& [pattern, source] : spec.sources.items()) {
    if (!matches(pattern, full) || !is_stored(pattern, source) || !source.contains(key)) continue;
    const size_t length = pattern == full ? SIZE_MAX : pattern.size();
    if (length < longest) continue;
    longest = length;
    value = source[key];
  }
  return value;
}

}  // namespace

bool is_frozen(const Spec& spec, const std::string& full) {
  return stored_value(spec, full, "frozen") == true;
}

std::string init_of(const Spec& spec, const std::string& full) {
  const auto init = stored_value(spec, full, "init");
  return init.is_null() ? std::string() : init.get<std::string>();
}

std::string shared_with(const Spec& spec, const std::string& full) {
  for (const auto& [pattern, source] : spec.sources.items()) {
    if (!matches(pattern, full) || is_stored(pattern, source)) continue;
    auto target = source["with"].get<std::string>();
    const size_t star = pattern.find('*'), target_star = target.find('*');
    if (star == std::string::npos || target_star == std::string::npos) return target;
    const size_t tail = pattern.size() - star - 1;
    return target.replace(target_star, 1, full.substr(star, full.size() - star - tail));
  }
  return {};
}

}  // namespace formwork
