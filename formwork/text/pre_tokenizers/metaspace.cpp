#include "formwork/text/pre_tokenizers/metaspace.h"

#include "formwork/core/error.h"
#include "formwork/text/json_fields.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {

Metaspace::Metaspace(const nlohmann::json& content, std::string_view where)
    : replacement(text_field(content, "replacement", where)),
      split(flag_field(content, "split", true, where)) {
  if (replacement.empty() || next_code_point(replacement, 0).bytes != static_cast<int>(replacement.size()))
    fail("{}: expected a Metaspace replacement of one character, found '{}'", where, replacement);
  const std::string name = text_field(content, "prepend_scheme", "always", where);
  if (name == "first")
    scheme = Scheme::first;
  else if (name == "never")
    scheme = Scheme::never;
  else if (name != "always")
    fail("{}: expected a prepend_scheme of always, first or never, found '{}'", where, name);
  if (!flag_field(content, "add_prefix_space", true, where)) scheme = Scheme::never;
}

}  // namespace formwork
