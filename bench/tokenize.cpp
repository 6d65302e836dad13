// tokenize TOKENIZER TEXT: encodes every line of TEXT once and prints the seconds that it took and the tokens
// made.
#include <chrono>
#include <cstdio>
#include <vector>

#include "formwork/core/file.h"
#include "formwork/text/tokenizer.h"

int main(int count, char** arguments) {
  if (count != 3) return std::fputs("usage: tokenize TOKENIZER TEXT\n", stderr), 2;
  const auto tokenizer = formwork::load_tokenizer(arguments[1]);
  const std::string text = formwork::read_file(arguments[2]);
  std::vector<std::string_view> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(std::string_view(text).substr(at, end - at));
    at = end + 1;
  }
  size_t tokens = 0;
  const auto start = std::chrono::steady_clock::now();
  for (const std::string_view line : lines) tokens += tokenizer->encode(line).size();
  const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
  std::printf("%.6f %zu\n", time.count(), tokens);
}
