#include "formwork/text/models/word_counts.h"

#include <unordered_map>

#include "formwork/text/unicode/utf8.h"

namespace formwork {
namespace {

class Counter final : public WordSink {
 public:
  void word(std::string_view text, bool) override {
    const auto [place, is_new] = places_.try_emplace(std::string(text), counts.size());
    if (is_new) counts.emplace_back(text, 0);
    ++counts[place->second].second;
  }
  std::vector<std::pair<std::string, int64_t>> counts;

 private:
  std::unordered_map<std::string, size_t> places_;
};

}  // namespace

std::vector<std::pair<std::string, int64_t>> word_counts(std::string_view text, const Normalizer& normalizer,
                                                         const PreTokenizer& pre_tokenizer) {
  Counter counter;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    std::string line = utf8_replaced(text.substr(at, end - at));
    normalizer.normalize(line);
    if (!line.empty()) pre_tokenizer.split(line, true, counter);
    at = end + 1;
  }
  return std::move(counter.counts);
}

}  // namespace formwork
