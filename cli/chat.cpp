// formwork chat MODEL: talks to a model in the terminal.
#include <unistd.h>

#include <iostream>

#include "command.h"
#include "formwork/core/file.h"
#include "formwork/interop/companions.h"
#include "formwork/tasks/text_source.h"
#include "formwork/text/chat/chat_template.h"
#include "formwork/text/text_stream.h"

namespace formwork::cli::chat_command {
namespace {

struct Arguments {
  std::string model, system, chat_template;
  DecodeChoice decode{"sample", {}, 0};
  int64_t tokens = 512;
};

// The file that is asked for, or the template that came with the model.
std::string template_of(const Arguments& arguments, const Json& meta) {
  if (!arguments.chat_template.empty()) return read_file(arguments.chat_template);
  const auto own = meta.find("tokenizer");
  const auto found =
      chat_template_at(own != meta.end() && own->is_string() ? own->get<std::string>() : arguments.model);
  if (found.empty())
    fail("chat: '{}' came without a chat template; give one with --template, or use `formwork generate`",
         arguments.model);
  return found;
}

const TokenByToken& token_by_token(const DecodeStrategy& strategy, const std::string& name) {
  const auto* found = dynamic_cast<const TokenByToken*>(&strategy);
  if (!found) fail("chat: '{}' does not go token by token", name);
  return *found;
}

std::string piece_of(const Tokenizer& tokenizer, std::optional<int64_t> id) {
  return id ? tokenizer.piece(*id) : std::string();
}

// A conversation with a model that remembers what it has read.
class Conversation {
 public:
  Conversation(const CLI::App& command, const Arguments& arguments)
      : arguments_(arguments),
        strategy_(arguments.decode.make(command)),
        by_token_(token_by_token(*strategy_, arguments.decode.name)),
        model_(load_model(arguments.model)) {
    tokenizer_ = model_tokenizer(model_->spec().meta, arguments.model);
    template_ = std::make_unique<ChatTemplate>(template_of(arguments, model_->spec().meta));
    if (!arguments.system.empty()) messages_.push_back({{"role", "system"}, {"content", arguments.system}});
  }

  // Answers on the standard output, as the tokens come.
  void say(const std::string& text) {
    messages_.push_back({{"role", "user"}, {"content", text}});
    DecodeRequest request;
    request.prompt = at::tensor(tokenizer_->encode(rendered()), at::kLong).unsqueeze(0);
    request.tokens = arguments_.tokens;
    request.seed = static_cast<uint64_t>(arguments_.decode.seed) + messages_.size();
    TextStream stream(*tokenizer_, /*skip_special=*/true);
    std::string answer;
    const auto show = [&](const std::string& piece) {
      answer += piece;
      fmt::print("{}", piece);
      std::fflush(stdout);
    };
    request.on_token = [&](int64_t, int64_t token) {
      if (ends(token)) return false;
      show(stream.add(token));
      return true;
    };
    read(request);
    const auto made = by_token_.go_on(*decoder_, request).front();
    read_.insert(read_.end(), made.tokens.begin(), made.tokens.end() - 1);
    show(stream.finish());
    fmt::print("\n");
    messages_.push_back({{"role", "assistant"}, {"content", answer}});
  }

 private:
  std::string rendered() const {
    return template_->render({{"messages", messages_},
                              {"add_generation_prompt", true},
                              {"bos_token", piece_of(*tokenizer_, tokenizer_->special().bos)},
                              {"eos_token", piece_of(*tokenizer_, tokenizer_->special().eos)}});
  }
  // A turn ends with the token that ends texts, or with one that opens or closes turns.
  bool ends(int64_t token) const {
    return token == tokenizer_->special().eos || tokenizer_->is_special(token);
  }
  // The decoder reads the conversation: what is new where it has read what comes before, else all of it (an
  // answer cut at its longest is closed by the template, and its text may be other tokens than were made).
  void read(const DecodeRequest& request) {
    const auto* ids = request.prompt.const_data_ptr<int64_t>();
    const std::vector<int64_t> all(ids, ids + request.prompt.numel());
    const auto known = static_cast<int64_t>(read_.size());
    if (decoder_ && all.size() > read_.size() && std::equal(read_.begin(), read_.end(), all.begin()))
      decoder_->append(request.prompt.slice(1, known));
    else
      decoder_ = std::make_unique<Decoder>(*model_, request);
    read_ = all;
  }

  const Arguments& arguments_;
  std::unique_ptr<DecodeStrategy> strategy_;
  const TokenByToken& by_token_;
  std::shared_ptr<Model> model_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::unique_ptr<ChatTemplate> template_;
  std::unique_ptr<Decoder> decoder_;
  std::vector<int64_t> read_;  // by the decoder
  Json messages_ = Json::array();
};

void run(const CLI::App& command, const Arguments& arguments) {
  const at::NoGradGuard guard;
  Conversation conversation(command, arguments);
  const bool terminal = isatty(STDIN_FILENO) != 0;
  if (terminal) fmt::print(stderr, "Type a message; an empty line or Ctrl-D ends.\n");
  for (std::string line; true;) {
    if (terminal) fmt::print("> "), std::fflush(stdout);
    if (!std::getline(std::cin, line) || line.empty()) break;
    conversation.say(line);
  }
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("chat", "talk to a model; each line of input is a message");
  add_model_argument(*command, arguments->model);
  command->add_option("--system", arguments->system, "what the model is told first");
  command->add_option("--tokens", arguments->tokens, "tokens of an answer, at most")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  arguments->decode.add_to(*command);
  command->add_option("--template", arguments->chat_template, "a file with the chat template, in Jinja")
      ->check(CLI::ExistingFile);
  command->footer("Example:  formwork chat SmolLM2-135M-Instruct.Q4_1.gguf --system 'Answer briefly.'");
  command->callback([arguments, command] { run(*command, *arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli::chat_command
