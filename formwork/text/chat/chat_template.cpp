#include "formwork/text/chat/chat_template.h"

#include "formwork/core/file.h"
#include "formwork/core/json_text.h"
#include "formwork/text/chat/evaluator.h"
#include "formwork/text/json_fields.h"

namespace formwork {

ChatTemplate::ChatTemplate(std::string_view source) : parsed_(chat::parse(source)) {}
ChatTemplate::~ChatTemplate() = default;
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;

std::string ChatTemplate::render(const nlohmann::ordered_json& variables) const {
  return chat::Evaluator(variables).run(*parsed_);
}

std::string load_chat_template(const std::filesystem::path& folder) {
  if (std::filesystem::exists(folder / "chat_template.jinja"))
    return read_file(folder / "chat_template.jinja");
  const auto config = folder / "tokenizer_config.json";
  if (!std::filesystem::exists(config)) return "";
  const nlohmann::json content = read_json<nlohmann::json>(config);
  if (!content.is_object() || !content.contains("chat_template")) return "";
  const nlohmann::json& found = content["chat_template"];
  if (!found.is_array()) return found.is_string() ? found.get<std::string>() : "";
  for (const nlohmann::json& named : found)  // several templates by name
    if (named.is_object() && named.value("name", nlohmann::json()) == "default")
      return text_field(named, "template", config.string());
  return "";
}

}  // namespace formwork
