#include "formwork/studies/registrations.h"

#include <algorithm>
#include <map>
#include <string_view>

#include "formwork/data/embedded_text.h"

namespace formwork {
namespace {

// Text between `from` and the next `stop`.
std::string_view until(std::string_view text, size_t from, std::string_view stop) {
  const size_t end = text.find(stop, from);
  return end == std::string_view::npos ? std::string_view() : text.substr(from, end - from);
}

// "TokenMixer" -> "mixers", from each class that says its kind.
std::map<std::string, std::string> kinds_of_classes(const std::vector<EmbeddedSource>& all) {
  constexpr std::string_view mark = "static const char* kind() { return \"", name = "\nclass ";
  std::map<std::string, std::string> kinds;
  for (const auto& file : all)
    for (size_t at = file.text.find(mark); at != std::string_view::npos; at = file.text.find(mark, at + 1)) {
      const size_t start = file.text.rfind(name, at);
      if (start == std::string_view::npos) continue;
      kinds.emplace(until(file.text, start + name.size(), " "), until(file.text, at + mark.size(), "\""));
    }
  return kinds;
}

// Every use of `macro` (with its bracket) at the start of a line: the registered name and, from what stands
// between, the kind.
template <class KindOf>
void collect(const EmbeddedSource& file, std::string_view macro, const KindOf& kind_of,
             std::vector<Registration>& into) {
  for (size_t at = file.text.find(macro); at != std::string_view::npos; at = file.text.find(macro, at + 1)) {
    if (at == 0 || file.text[at - 1] != '\n') continue;
    const size_t from = at + macro.size(), quote = file.text.find('"', from);
    if (quote == std::string_view::npos) continue;
    const std::string kind = kind_of(file.text.substr(from, quote - from));
    if (kind.empty()) continue;
    const auto line = 1 + std::count(file.text.begin(), file.text.begin() + static_cast<int64_t>(at), '\n');
    into.push_back({kind, std::string(until(file.text, quote + 1, "\"")), file.path, line});
  }
}

}  // namespace

const std::vector<Registration>& registrations() {
  static const auto list = [] {
    // The runtime's parts bear the names of those that they stand for, which are the ones to be found.
    auto all = embedded_sources();
    std::erase_if(all, [](const auto& file) { return file.path.starts_with("formwork/runtime/"); });
    const auto kinds = kinds_of_classes(all);
    const auto of_first_argument = [&](std::string_view arguments) {
      const auto found = kinds.find(std::string(until(arguments, 0, ",")));
      return found == kinds.end() ? std::string() : found->second;
    };
    std::vector<Registration> list;
    for (const auto& file : all) {
      collect(file, "FORMWORK_PART(", of_first_argument, list);
      collect(
          file, "const RegisterGeneratedTask<", [](std::string_view) { return "tasks"; }, list);
    }
    return list;
  }();
  return list;
}

std::vector<std::string> with_header(const std::string& source) {
  static const auto paths = [] {
    std::vector<std::string> paths;
    for (auto& file : embedded_sources()) paths.push_back(std::move(file.path));
    return paths;
  }();
  std::vector<std::string> found;
  const std::string header = source.substr(0, source.rfind('.')) + ".h";
  if (std::find(paths.begin(), paths.end(), header) != paths.end()) found.push_back(header);
  found.push_back(source);
  return found;
}

}  // namespace formwork
