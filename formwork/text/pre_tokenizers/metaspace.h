// The options that the Metaspace pre-tokenizer and decoder share.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace formwork {

struct Metaspace {
  enum class Scheme { always, first, never };
  std::string replacement;  // one character
  Scheme scheme = Scheme::always;
  bool split = true;

  Metaspace(const nlohmann::json& content, std::string_view where);
};

}  // namespace formwork
