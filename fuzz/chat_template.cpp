// Any text as a chat template: refused, or one that is rendered in bounded time.
#include "formwork/text/chat/chat_template.h"

#include "fuzz/fuzz.h"

namespace formwork {

void fuzz(std::string_view text) {
  const ChatTemplate parsed(text);
  (void)parsed.render(
      {{"messages", {{{"role", "user"}, {"content", "Hello"}}, {{"role", "assistant"}, {"content", "Hi"}}}},
       {"add_generation_prompt", true},
       {"bos_token", "<s>"},
       {"eos_token", "</s>"}});
}

}  // namespace formwork
