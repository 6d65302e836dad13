// formwork tokenize MODEL: the tokens of a text.
#include <fstream>
#include <iostream>

#include "command.h"
#include "formwork/core/file.h"
#include "formwork/interop/companions.h"
#include "formwork/tasks/text_source.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork::cli::tokenize_command {
namespace {

struct Arguments {
  std::string model, text, file, lines;
  bool ids = false, special = false, json = false;
};

// A tokenizer's own files, or the tokenizer inside a trained model.
std::shared_ptr<const Tokenizer> find(const std::string& model) {
  const std::filesystem::path path = model;
  if (!std::filesystem::exists(path / "formwork.json") || has_tokenizer(path)) return tokenizer_at(path);
  return model_tokenizer(find_spec(model).meta, path);
}

std::vector<int64_t> encode(const Tokenizer& tokenizer, const std::string& text, bool special) {
  const std::string valid = utf8_replaced(text);
  return special ? tokenizer.encode_for_model(valid).ids : tokenizer.encode(valid);
}

Json rows_of(const Tokenizer& tokenizer, const std::vector<int64_t>& ids) {
  Json rows = Json::array();
  for (const int64_t id : ids)
    rows.push_back({{"id", id}, {"token", tokenizer.piece(id)}, {"special", tokenizer.is_special(id)}});
  return rows;
}

// One JSON text a line in, one JSON object a line out.
void run_lines(const Tokenizer& tokenizer, const Arguments& arguments) {
  std::ifstream file(arguments.lines, std::ios::binary);
  if (!file) fail_file("read", arguments.lines);
  int64_t number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    const Json text = Json::parse(line, nullptr, false);
    if (!text.is_string()) fail("{}:{}: expected a JSON text", arguments.lines, number);
    const auto ids = encode(tokenizer, text.get<std::string>(), arguments.special);
    const Json row = {{"ids", ids}, {"text", utf8_replaced(tokenizer.decode(ids))}};
    std::cout << row.dump() << '\n';
  }
}

void run(const Arguments& arguments) {
  const auto tokenizer = find(arguments.model);
  if (!arguments.lines.empty()) return run_lines(*tokenizer, arguments);
  const std::string text = arguments.file.empty() ? arguments.text : read_file(arguments.file);
  const auto ids = encode(*tokenizer, text, arguments.special);
  if (arguments.json) {
    const Json rows = rows_of(*tokenizer, ids);
    return fmt::print("{}\n", rows.dump(2, ' ', false, Json::error_handler_t::replace));
  }
  if (arguments.ids) return fmt::print("{}\n", fmt::join(ids, " "));
  for (const int64_t id : ids) fmt::print("{:>8}  {}\n", id, utf8_replaced(tokenizer->piece(id)));
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("tokenize", "the tokens of a text");
  command
      ->add_option("model", arguments->model,
                   "a model, tokenizer.json, a SentencePiece *.model or a *.tiktoken file")
      ->required();
  auto* input = command->add_option_group("input");
  input->add_option("--text", arguments->text, "the text");
  input->add_option("--file", arguments->file, "a file that holds it")->check(CLI::ExistingFile);
  input
      ->add_option(
          "--lines", arguments->lines,
          "a file with one JSON text a line; prints a JSON object with ids and decoded text for each")
      ->check(CLI::ExistingFile);
  input->require_option(1);
  command->add_flag("--ids", arguments->ids, "print only the ids, on one line");
  command->add_flag("--special", arguments->special, "add the special tokens that the model expects");
  command->add_flag("--json", arguments->json, "print an array of id, token and whether it is special");
  command->footer("Example:  formwork tokenize tokenizer.json --text 'Once upon a time'");
  command->callback([arguments] { run(*arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli::tokenize_command
