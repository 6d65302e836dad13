// Chat templates of models: the part of the Jinja language that they use, rendered as transformers'
// apply_chat_template does (blocks trimmed, loop controls, tojson without escapes). Nothing outside the
// template is executed, and work, depth and output are bounded.
#pragma once
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace formwork {

namespace chat {
struct Template;
}

class ChatTemplate {
 public:
  // Throws Error, with the line in the template, for syntax that is not known.
  explicit ChatTemplate(std::string_view source);
  ~ChatTemplate();
  ChatTemplate(ChatTemplate&&) noexcept;

  // `variables` is an object: messages (a list of {"role", "content"}), add_generation_prompt, bos_token,
  // eos_token, tools, ... Throws Error for what the template refuses (raise_exception) and for wrong types.
  std::string render(const nlohmann::ordered_json& variables) const;

 private:
  std::unique_ptr<chat::Template> parsed_;
};

// The template of a model's folder (chat_template.jinja, or chat_template in tokenizer_config.json); empty
// when it has none.
std::string load_chat_template(const std::filesystem::path& folder);

}  // namespace formwork
