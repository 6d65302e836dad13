// formwork completion SHELL: a script that completes commands, options and registered names, made from the
// commands themselves.
#include "command.h"

namespace formwork::cli::completion_command {
namespace {

const std::vector<std::string> kShells = {"bash", "zsh", "fish"};

// What a shell needs to know of one option or argument.
struct Word {
  std::vector<std::string> names;  // "--task"; empty: an argument
  std::string doc;
  bool takes_value = true;
  std::vector<std::string> values;
  bool files = true;  // whether a file is a value too
};

struct Command {
  std::string name, doc;
  std::vector<Word> options, arguments;
};

Word word_of(const CLI::Option& option) {
  Word word;
  for (const auto& name : option.get_lnames()) word.names.push_back("--" + name);
  word.doc = option.get_description();
  word.takes_value = option.get_items_expected_max() > 0;
  if (const auto found = offers().find(&option); found != offers().end()) word.values = found->second;
  if (option.check_lname("methods")) {
    word.values = names_of_kind("transforms");
    word.values.insert(word.values.begin(), "all");
  }
  word.files = word.values.empty() || option.get_name() == "spec";
  return word;
}

std::vector<Command> commands_of(const CLI::App& app) {
  std::vector<Command> list;
  for (const auto* sub : app.get_subcommands({})) {
    Command command{sub->get_name(), sub->get_description(), {}, {}};
    for (const auto* option : sub->get_options())
      (option->get_positional() ? command.arguments : command.options).push_back(word_of(*option));
    list.push_back(std::move(command));
  }
  return list;
}

std::vector<std::string> option_names(const Command& command) {
  std::vector<std::string> names;
  for (const auto& option : command.options)
    names.insert(names.end(), option.names.begin(), option.names.end());
  return names;
}

std::string escaped(std::string text, const std::string& characters) {
  for (size_t at = 0; at < text.size(); ++at)
    if (characters.find(text[at]) != std::string::npos) text.insert(at++, "\\");
  return text;
}

// Text within single quotes, for bash and zsh.
std::string in_quotes(const std::string& text) {
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

std::string joined(const std::vector<std::string>& words) { return fmt::format("{}", fmt::join(words, " ")); }

// Bash: what follows an option is looked up by option, anything else by its place among the arguments.
void print_bash(const std::vector<Command>& commands) {
  std::vector<std::string> names;
  names.reserve(commands.size());
  for (const auto& command : commands) names.push_back(command.name);
  fmt::print(R"(# Completion of formwork for bash: source <(formwork completion bash)
_formwork() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}"
  local command="${{COMP_WORDS[1]}}" options="" valued="" values="" files="-f" place=-1 i
  COMPREPLY=()
  if [ "$COMP_CWORD" -le 1 ]; then
    COMPREPLY=($(compgen -W '{} --help --version' -- "$current"))
    return
  fi
  case "$command" in
)",
             joined(names));
  for (const auto& command : commands) {
    std::vector<std::string> valued;
    for (const auto& option : command.options)
      if (option.takes_value) valued.insert(valued.end(), option.names.begin(), option.names.end());
    fmt::print("    {}) options='{}' valued=' {} ' ;;\n", command.name, joined(option_names(command)),
               joined(valued));
  }
  fmt::print(R"(    *) return ;;
  esac
  for ((i = 2; i <= COMP_CWORD; i++)); do
    case "$valued" in *" ${{COMP_WORDS[i-1]}} "*) continue ;; esac
    case "${{COMP_WORDS[i]}}" in -*) ;; *) place=$((place + 1)) ;; esac
  done
  case "$valued" in
    *" $previous "*) place="$previous" ;;
    *) case "$current" in -*) COMPREPLY=($(compgen -W "$options" -- "$current")); return ;; esac ;;
  esac
  case "$command $place" in
)");
  const auto print_values = [](const std::string& command, const std::string& place, const Word& word) {
    if (!word.values.empty())
      fmt::print("    '{} {}') values='{}'{} ;;\n", command, place, joined(word.values),
                 word.files ? "" : " files=''");
  };
  for (const auto& command : commands) {
    for (const auto& option : command.options)
      for (const auto& name : option.names) print_values(command.name, name, option);
    for (size_t i = 0; i < command.arguments.size(); ++i)
      print_values(command.name, fmt::format("{}", i), command.arguments[i]);
  }
  fmt::print(R"(  esac
  COMPREPLY=($(compgen -W "$values" $files -- "$current"))
}}
complete -F _formwork formwork
)");
}

// A leading space: zsh adds no arguments of its own to the call.
std::string zsh_action(const Word& word) {
  if (word.values.empty()) return "_files";
  const auto values = fmt::format("({})", joined(word.values));
  return word.files ? fmt::format(" _alternative \"words:name:{}\" \"files:file:_files\"", values) : values;
}

void print_zsh(const std::vector<Command>& commands) {
  fmt::print(R"(#compdef formwork
# Completion of formwork for zsh: source <(formwork completion zsh)
_formwork() {{
  local -a commands
  local line state
  commands=(
)");
  for (const auto& command : commands)
    fmt::print("    {}\n", in_quotes(fmt::format("{}:{}", command.name, escaped(command.doc, ":"))));
  fmt::print(R"(  )
  _arguments -C '--help[print the help]' '--version[print the version]' '1:command:->command' '*::argument:->rest'
  case $state in
    command) _describe command commands ;;
    rest) case $line[1] in
)");
  for (const auto& command : commands) {
    fmt::print("      {}) _arguments", command.name);
    for (const auto& option : command.options)
      for (const auto& name : option.names) {
        auto text = fmt::format("*{}[{}]", name, escaped(option.doc, "[]:\\"));
        if (option.takes_value) text += fmt::format(":value:{}", zsh_action(option));
        fmt::print(" \\\n        {}", in_quotes(text));
      }
    for (size_t i = 0; i < command.arguments.size(); ++i)
      fmt::print(" \\\n        {}",
                 in_quotes(fmt::format("{}:{}:{}", i + 1, "argument", zsh_action(command.arguments[i]))));
    fmt::print(" ;;\n");
  }
  fmt::print("    esac ;;\n  esac\n}}\ncompdef _formwork formwork\n");
}

void print_fish(const std::vector<Command>& commands) {
  const auto text = [](const std::string& words) { return "'" + escaped(words, "'\\") + "'"; };
  fmt::print("# Completion of formwork for fish: formwork completion fish | source\n");
  for (const auto& command : commands)
    fmt::print("complete -c formwork -n __fish_use_subcommand -f -a {} -d {}\n", command.name,
               text(command.doc));
  for (const auto& command : commands) {
    const auto when = text("__fish_seen_subcommand_from " + command.name);
    for (const auto& option : command.options)
      for (const auto& name : option.names) {
        fmt::print("complete -c formwork -n {} -l {} -d {}", when, name.substr(2), text(option.doc));
        if (option.takes_value) fmt::print("{}", option.files ? " -r" : " -x");
        if (!option.values.empty()) fmt::print(" -a {}", text(joined(option.values)));
        fmt::print("\n");
      }
    for (const auto& argument : command.arguments)
      if (!argument.values.empty())
        fmt::print("complete -c formwork -n {}{} -a {}\n", when, argument.files ? "" : " -f",
                   text(joined(argument.values)));
  }
}

void run(const CLI::App& app, const std::string& shell) {
  const auto commands = commands_of(app);
  if (shell == "bash") return print_bash(commands);
  if (shell == "zsh") return print_zsh(commands);
  if (shell == "fish") return print_fish(commands);
  fail_unknown("shell", shell, kShells);
}

void add(CLI::App& app) {
  auto shell = std::make_shared<std::string>();
  auto* command = app.add_subcommand("completion", "a script that completes the command line");
  offer(command->add_option("shell", *shell, "bash, zsh or fish"), kShells)->required();
  command->footer("Example:  source <(formwork completion bash)");
  command->callback([shell, &app] { run(app, *shell); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli::completion_command
