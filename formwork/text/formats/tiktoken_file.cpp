#include "formwork/text/formats/tiktoken_file.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/text/models/bpe.h"
#include "formwork/text/models/bpe_json.h"
#include "formwork/text/normalizers/charsmap.h"
#include "formwork/text/pipeline_tokenizer.h"
#include "formwork/text/unicode/byte_level.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {
namespace {

using nlohmann::json;

Vocabulary read_ranks(std::string_view text, std::string_view where) {
  Vocabulary vocabulary;
  vocabulary.reserve(static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) + 1, text.size());
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    const size_t space = line.find(' ');
    int64_t rank = -1;
    const char* last = line.data() + line.size();
    const auto parsed =
        std::from_chars(space == std::string_view::npos ? last : line.data() + space + 1, last, rank);
    if (parsed.ec != std::errc() || parsed.ptr != last || space == 0)
      fail("{}: expected lines of base64 and a rank, found '{}'", where, utf8_replaced(line.substr(0, 60)));
    vocabulary.add(rank, to_byte_level(from_base64(line.substr(0, space), where)), where);
  }
  if (vocabulary.size() == 0) fail("{}: expected lines of base64 and a rank, found none", where);
  return vocabulary;
}

}  // namespace

std::unique_ptr<Tokenizer> tokenizer_from_tiktoken(std::string_view text, std::string_view where,
                                                   WordPattern pattern,
                                                   const std::vector<std::string>& special) {
  Vocabulary vocabulary = read_ranks(text, where);
  std::vector<int32_t> ranks;
  for (int64_t id = 0; id < vocabulary.size(); ++id)
    ranks.push_back(vocabulary.has(id) ? static_cast<int32_t>(id) : -1);
  json added = json::array();
  for (size_t i = 0; i < special.size(); ++i)
    added.push_back(special_token_json(vocabulary.size() + static_cast<int64_t>(i), special[i]));
  const Bpe::Merges merges = merges_by_token(vocabulary, ranks);
  BpeOptions options;
  options.bytes = ByteForm::raw;
  options.ignore_merges = true;
  auto model = std::make_unique<Bpe>(std::move(vocabulary), merges, options, where);
  json cut = {{"type", "Split"},
              {"pattern", {{"Regex", pattern_text(pattern)}}},
              {"behavior", "Isolated"},
              {"invert", false}};
  json rest = {
      {"version", "1.0"},
      {"added_tokens", std::move(added)},
      {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", {std::move(cut), byte_level_json(false)}}}},
      {"decoder", byte_level_json()}};
  return std::make_unique<PipelineTokenizer>(std::move(rest), std::move(model), where);
}

}  // namespace formwork
