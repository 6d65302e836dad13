// JSON that comes from elsewhere: read strictly, and never nested deeper than what walks it can bear.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "formwork/core/error.h"
#include "formwork/core/file.h"

namespace formwork {

// Fails for text whose brackets are nested deeper than 200: the parser would build any depth, but copying,
// writing and walking a value recurse, so that a file of brackets alone would overflow the stack.
void check_json_depth(std::string_view text, std::string_view where);

// J is a class of nlohmann's. Errors name `where`, and what the parser found at which byte.
template <class J>
J parse_json(std::string_view text, std::string_view where) {
  check_json_depth(text, where);
  try {
    return J::parse(text);
  } catch (const typename J::exception& error) {
    fail("{}: not valid JSON: {}", where, escaped(error.what()));
  }
}

template <class J>
J read_json(const std::filesystem::path& path) {
  return parse_json<J>(read_file(path), path.string());
}

}  // namespace formwork
