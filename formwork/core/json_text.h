// JSON that comes from elsewhere: read strictly, and never nested deeper than what walks it can bear.
#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "formwork/core/error.h"

namespace formwork {

// Copying, writing and walking a value recurse, so a file of brackets alone would overflow the stack.
constexpr int kDeepestJson = 200;

// J is a class of nlohmann's. Errors name `where`, and what the parser found at which byte.
template <class J>
J parse_json(std::string_view text, const std::string& where) {
  const auto shallow = [&](int depth, typename J::parse_event_t, J&) {
    if (depth > kDeepestJson) fail("{}: JSON nested deeper than {} levels", where, kDeepestJson);
    return true;
  };
  try {
    return J::parse(text, shallow);
  } catch (const typename J::exception& error) {
    fail("{}: not valid JSON: {}", where, escaped(error.what()));
  }
}

}  // namespace formwork
