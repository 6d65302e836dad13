#include "formwork/core/sources.h"

#include "formwork/core/wildcard.h"

namespace formwork {
namespace {

// An entry {"type": "stored", "frozen": flag} of the sources table; the others are shared.
bool is_stored(const std::string& pattern, const Json& source) {
  const auto type = source.is_object() ? source.value("type", Json()) : Json();
  if (type == "stored" && source.size() == 2 && source.contains("frozen") && source["frozen"].is_boolean())
    return true;
  if (type != "shared" || !source.contains("with"))
    fail(
        R"(source of '{}': expected {{"type": "shared", "with": name}} or {{"type": "stored", "frozen": true}}, )"
        "found {}",
        pattern, source.dump());
  return false;
}

}  // namespace

bool is_frozen(const Spec& spec, const std::string& full) {
  size_t longest = 0;
  bool frozen = false;
  for (const auto& [pattern, source] : spec.sources.items()) {
    if (!matches(pattern, full) || !is_stored(pattern, source)) continue;
    const size_t length = pattern == full ? SIZE_MAX : pattern.size();
    if (length < longest) continue;
    longest = length;
    frozen = source["frozen"].get<bool>();
  }
  return frozen;
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
