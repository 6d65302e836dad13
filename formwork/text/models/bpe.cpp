#include "formwork/text/models/bpe.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <tuple>

#include "formwork/core/error.h"
#include "formwork/text/json_fields.h"
#include "formwork/text/models/bpe_merge.h"
#include "formwork/text/unicode/byte_level.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {

using nlohmann::json;

Bpe::Bpe(Vocabulary vocabulary, const Merges& merges, BpeOptions options, std::string_view where)
    : TokenModel(std::move(vocabulary)), options_(std::move(options)) {
  const Vocabulary& tokens = this->vocabulary();
  merges_.reserve(merges.size());
  std::string joined;
  for (const auto& [left, right, rank] : merges) {
    const std::string_view rest = tokens.text(right);
    joined.assign(tokens.text(left)).append(rest.substr(std::min(rest.size(), options_.prefix.size())));
    const int32_t id = tokens.find(joined);
    if (id < 0)
      fail("{}: a merge names the token '{}', which is not in the vocabulary", where, utf8_replaced(joined));
    merges_.add(left, right, {rank, id});
  }
  if (options_.unknown) {
    unknown_id_ = tokens.find(*options_.unknown);
    if (unknown_id_ < 0)
      fail("{}: the unknown token '{}' is not in the vocabulary", where, *options_.unknown);
  }
  if (options_.byte_fallback) fallback_ids_ = byte_fallback_ids(tokens);
  if (options_.bytes == ByteForm::raw)
    for (int byte = 0; byte < 256; ++byte)
      byte_ids_.push_back(tokens.find(to_byte_level(std::string(1, static_cast<char>(byte)))));
  find_boundary(merges);
}

// A text without spaces in its words (SentencePiece) comes as one long word. When no merge makes a token that
// has the mark after another character, merges never cross such a place, and cutting there changes nothing.
void Bpe::find_boundary(const Merges& merges) {
  constexpr std::string_view mark = "\xE2\x96\x81";
  const bool plain = options_.bytes == ByteForm::printable && !options_.ignore_merges &&
                     options_.prefix.empty() && options_.suffix.empty();
  if (!plain || vocabulary().find(mark) < 0) return;
  for (const auto& [left, right, rank] : merges) {
    const std::string token = std::string(vocabulary().text(left)).append(vocabulary().text(right));
    for (size_t at = token.find(mark, 1); at != std::string::npos; at = token.find(mark, at + 1))
      if (at < mark.size() || token.compare(at - mark.size(), mark.size(), mark) != 0) return;
  }
  boundary_ = mark;
}

bool Bpe::covers_bytes() const {
  return options_.bytes == ByteForm::raw &&
         std::find(byte_ids_.begin(), byte_ids_.end(), -1) == byte_ids_.end();
}

void Bpe::encode(std::string_view word, std::vector<int32_t>& ids) const {
  const bool raw = options_.bytes == ByteForm::raw;
  if (options_.ignore_merges) {
    const int32_t whole = raw ? vocabulary().find(to_byte_level(word)) : vocabulary().find(word);
    if (whole >= 0) return ids.push_back(whole);
  }
  const size_t first = ids.size();
  if (raw)
    start_bytes(word, ids);
  else
    start_characters(word, ids);
  merge_symbols(merges_, ids, first);
}

namespace {

// Unknown characters wait until a known one follows, so that neighbours can be fused.
class Symbols {
 public:
  Symbols(std::vector<int32_t>& ids, int32_t unknown, bool fuse)
      : ids_(ids), unknown_(unknown), fuse_(fuse) {}
  ~Symbols() { flush(); }
  void known(int32_t id) {
    flush();
    ids_.push_back(id);
  }
  void byte(int32_t id) { ids_.push_back(id); }
  void unknown() {
    if (unknown_ < 0) return;  // without a token for them, unknown characters vanish
    if (!fuse_) flush();
    waiting_ = true;
  }

 private:
  void flush() {
    if (waiting_) ids_.push_back(unknown_);
    waiting_ = false;
  }
  std::vector<int32_t>& ids_;
  int32_t unknown_;
  bool fuse_, waiting_ = false;
};

}  // namespace

void Bpe::start_bytes(std::string_view word, std::vector<int32_t>& ids) const {
  Symbols symbols(ids, unknown_id_, options_.fuse_unknown);
  for (const char c : word) {
    const int32_t id = byte_ids_[static_cast<uint8_t>(c)];
    if (id >= 0)
      symbols.known(id);
    else
      symbols.unknown();
  }
}

void Bpe::start_characters(std::string_view word, std::vector<int32_t>& ids) const {
  Symbols symbols(ids, unknown_id_, options_.fuse_unknown);
  std::string affixed;
  for (size_t at = 0; at < word.size();) {
    const auto bytes = static_cast<size_t>(next_code_point(word, at).bytes);
    std::string_view character = word.substr(at, bytes);
    const bool inside = at > 0 && !options_.prefix.empty();
    const bool last = at + bytes == word.size() && !options_.suffix.empty();
    if (inside || last) {
      affixed.assign(inside ? options_.prefix : "").append(character).append(last ? options_.suffix : "");
      character = affixed;
    }
    at += bytes;
    const int32_t id = vocabulary().find(character);
    if (id >= 0) {
      symbols.known(id);
    } else if (!fallback_ids_.empty()) {
      for (const char c : character) symbols.byte(fallback_ids_[static_cast<uint8_t>(c)]);
    } else {
      symbols.unknown();
    }
  }
}

Bpe::Merges Bpe::merges() const {
  Merges merges;
  merges_.for_each([&](int32_t left, int32_t right, MergeTable::Merge merge) {
    merges.push_back({left, right, merge.rank});
  });
  std::sort(merges.begin(), merges.end(), [](const Merge& a, const Merge& b) {
    return std::tie(a.rank, a.left, a.right) < std::tie(b.rank, b.left, b.right);
  });
  return merges;
}

Bpe::Merges merges_by_token(const Vocabulary& vocabulary, const std::vector<int32_t>& ranks) {
  Bpe::Merges merges;
  for (int64_t id = 0; id < vocabulary.size(); ++id) {
    const int32_t rank = ranks[static_cast<size_t>(id)];
    const std::string_view text = vocabulary.text(id);
    if (rank < 0 || text.empty()) continue;
    for (size_t cut = next_code_point(text, 0).bytes; cut < text.size();
         cut += next_code_point(text, cut).bytes) {
      const int32_t left = vocabulary.find(text.substr(0, cut)), right = vocabulary.find(text.substr(cut));
      const auto merges_too = [&](int32_t part) {
        return part >= 0 && ranks[static_cast<size_t>(part)] >= 0;
      };
      if (merges_too(left) && merges_too(right)) merges.push_back({left, right, rank});
    }
  }
  return merges;
}

json Bpe::to_json() const {
  const auto text = [](const std::string& value) { return value.empty() ? json() : json(value); };
  json merges = json::array();
  for (const auto& [left, right, rank] : this->merges())
    merges.push_back({vocabulary().text(left), vocabulary().text(right)});
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", options_.unknown ? json(*options_.unknown) : json()},
          {"continuing_subword_prefix", text(options_.prefix)},
          {"end_of_word_suffix", text(options_.suffix)},
          {"fuse_unk", options_.fuse_unknown},
          {"byte_fallback", options_.byte_fallback},
          {"ignore_merges", options_.ignore_merges},
          {"vocab", vocabulary_to_json(vocabulary())},
          {"merges", std::move(merges)}};
}

namespace {

int32_t known(const Vocabulary& vocabulary, std::string_view token, std::string_view where) {
  const int32_t id = vocabulary.find(token);
  if (id < 0) fail("{}: a merge names the token '{}', which is not in the vocabulary", where, token);
  return id;
}

Bpe::Merges read_merges(const json& merges, const Vocabulary& vocabulary, std::string_view where) {
  Bpe::Merges pairs;
  pairs.reserve(merges.size());
  for (const json& merge : merges) {
    std::string_view left, right;
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      left = merge[0].get_ref<const std::string&>();
      right = merge[1].get_ref<const std::string&>();
    } else if (merge.is_string()) {
      const std::string_view both = merge.get_ref<const std::string&>();
      if (both.starts_with("#version")) continue;
      const size_t space = both.find(' ');
      if (space != std::string_view::npos) {
        left = both.substr(0, space);
        right = both.substr(space + 1);
      }
    }
    if (left.empty() || right.empty())
      fail("{}: expected a merge of two tokens, found {}", where, shown(merge));
    pairs.push_back({known(vocabulary, left, where), known(vocabulary, right, where),
                     static_cast<int32_t>(pairs.size())});
  }
  return pairs;
}

}  // namespace

std::unique_ptr<TokenModel> make_bpe(const json& content, ByteForm wanted, std::string_view where) {
  BpeOptions options;
  if (content.contains("dropout") && content["dropout"].is_number() && content["dropout"] != 0)
    fail("{}: expected no dropout in a BPE model, found {}", where, shown(content["dropout"]));
  if (content.contains("unk_token") && !content["unk_token"].is_null())
    options.unknown = text_field(content, "unk_token", where);
  options.prefix = text_field(content, "continuing_subword_prefix", "", where);
  options.suffix = text_field(content, "end_of_word_suffix", "", where);
  options.fuse_unknown = flag_field(content, "fuse_unk", false, where);
  options.byte_fallback = flag_field(content, "byte_fallback", false, where);
  options.ignore_merges = flag_field(content, "ignore_merges", false, where);
  const bool affixes = !options.prefix.empty() || !options.suffix.empty();
  if (!options.byte_fallback && !affixes) options.bytes = wanted;
  Vocabulary vocabulary = vocabulary_from_json(field(content, "vocab", where), where);
  const Bpe::Merges merges = read_merges(list_field(content, "merges", where), vocabulary, where);
  return std::make_unique<Bpe>(std::move(vocabulary), merges, std::move(options), where);
}

}  // namespace formwork
