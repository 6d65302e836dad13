// Any text as a tokenizer.json: refused, or a tokenizer that takes a text apart and puts it together.
#include "formwork/core/json_text.h"
#include "formwork/text/tokenizer.h"
#include "fuzz/fuzz.h"

namespace formwork {

void fuzz(std::string_view text) {
  const auto tokenizer = tokenizer_from_json(parse_json<nlohmann::json>(text, "file"), "file");
  const auto ids = tokenizer->encode_for_model("Th\u00e9 quick  brown fox, 123!\n").ids;
  for (const auto id : ids) require(id >= 0 && id < tokenizer->vocab_size());
  (void)tokenizer->decode(ids);
}

}  // namespace formwork
