// A part of `tokenizer.json` made by its "type" from a table.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "formwork/core/error.h"
#include "formwork/text/json_fields.h"

namespace formwork {

// types: name -> function that makes the part. Throws Error for a name that is not there.
template <class Types>
auto make_by_type(const Types& types, std::string_view kind, const nlohmann::json& content,
                  std::string_view where) {
  const std::string type = type_of(content, where);
  const auto found = types.find(type);
  if (found != types.end()) return found->second();
  std::vector<std::string> names;
  for (const auto& [name, make] : types) names.push_back(name);
  const std::string near = nearest(type, names);
  fail("{}: unknown {} '{}'; {} {}", where, kind, type, near.empty() ? "known are" : "the nearest known is",
       near.empty() ? fmt::format("{}", fmt::join(names, ", ")) : near);
}

}  // namespace formwork
