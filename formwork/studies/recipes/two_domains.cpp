#include "formwork/studies/recipes/two_domains.h"

#include <zlib.h>

#include "formwork/core/file.h"

namespace formwork {
namespace {

constexpr double kTrainShare = 0.9;

// A file that gzip packed, or a plain one.
std::string read_unpacked(const std::string& path) {
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);
  if (!file) fail_file("read", path);
  std::string text, piece(1 << 16, '\0');
  int got = 0;
  while ((got = gzread(file.get(), piece.data(), static_cast<unsigned>(piece.size()))) > 0)
    text.append(piece, 0, static_cast<size_t>(got));
  if (got < 0) fail("{}: not a whole gzip file", path);
  return text;
}

// The problems of HumanEval as programs, one after the other.
std::string programs(const std::string& path) {
  std::string text;
  std::istringstream lines(read_unpacked(path));
  for (std::string line; std::getline(lines, line);) {
    if (line.empty()) continue;
    try {
      const auto problem = Json::parse(line);
      text += problem.at("prompt").get<std::string>() + problem.at("canonical_solution").get<std::string>() +
              "\n";
    } catch (const Json::exception& error) {
      fail("{}: expected a problem of HumanEval a line, found {}", path, error.what());
    }
  }
  return text;
}

std::string training_part(const std::string& text) {
  return text.substr(0, static_cast<size_t>(static_cast<double>(text.size()) * kTrainShare));
}

// The shorter text is repeated until it is as long as the other.
std::string half_and_half(const std::string& a, const std::string& b) {
  std::string first = a, second = b;
  while (first.size() < second.size()) first += a;
  while (second.size() < first.size()) second += b;
  const size_t length = std::min(first.size(), second.size());
  return first.substr(0, length) + second.substr(0, length);
}

PartSpec text_task(const std::string& file, int64_t length, double train_share) {
  PartSpec task("text");
  task.options = {{"file", file}, {"length", length}, {"train_share", train_share}};
  return task;
}

}  // namespace

TwoDomains two_domains(const StudyContext& ctx, int64_t length) {
  const auto plays = ctx.data("text/tinyshakespeare.txt");
  const auto code = programs(ctx.data("code/HumanEval.jsonl.gz"));
  const auto folder = std::filesystem::path(ctx.options().cache) / "texts";
  std::filesystem::create_directories(folder);
  const auto code_file = (folder / "programs.txt").string(), both_file = (folder / "both.txt").string();
  write_atomically(code_file, code);
  write_atomically(both_file, half_and_half(training_part(read_file(plays)), training_part(code)));
  constexpr double nearly_all = 0.99;
  return {text_task(plays, length, kTrainShare), text_task(code_file, length, kTrainShare),
          text_task(both_file, length, nearly_all)};
}

}  // namespace formwork
