#include "formwork/explain/attribution/words.h"

#include "formwork/interop/companions.h"

namespace formwork {
namespace {

bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

std::string trimmed(const std::string& text) {
  const auto first = std::find_if_not(text.begin(), text.end(), is_space);
  const auto last = std::find_if_not(text.rbegin(), text.rend(), is_space).base();
  return first < last ? std::string(first, last) : text;
}

}  // namespace

TokenNames::TokenNames(const Json& meta) : tokenizer_(own_tokenizer(meta)) {
  if (const auto found = meta.find("symbols"); found != meta.end())
    symbols_ = found->get<std::vector<std::string>>();
  if (const auto found = meta.find("labels"); found != meta.end())
    labels_ = found->get<std::vector<std::string>>();
}

std::string TokenNames::name(int64_t id) const {
  if (tokenizer_ && id < tokenizer_->vocab_size()) return trimmed(tokenizer_->token(id));
  const auto at = static_cast<size_t>(id);
  return at < symbols_.size() ? symbols_[at] : std::to_string(id);
}

std::string TokenNames::answer(int64_t id) const {
  if (labels_.empty()) return name(id);
  const auto at = static_cast<size_t>(id);
  return at < labels_.size() ? labels_[at] : std::to_string(id);
}

bool TokenNames::begins_word(int64_t before, int64_t id) const {
  if (tokenizer_->is_special(id) || tokenizer_->is_special(before)) return true;
  if (tokenizer_->name() == "wordlevel") return true;
  if (tokenizer_->name() == "wordpiece") return !tokenizer_->piece(id).starts_with("##");
  const auto text = tokenizer_->token(id), last = tokenizer_->token(before);
  return (!text.empty() && is_space(text.front())) || (!last.empty() && is_space(last.back()));
}

std::vector<Word> TokenNames::words(const std::vector<int64_t>& ids) const {
  std::vector<Word> words;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i == 0 || !tokenizer_ || begins_word(ids[i - 1], ids[i])) words.emplace_back();
    words.back().places.push_back(static_cast<int64_t>(i));
  }
  for (auto& word : words) {
    std::vector<int64_t> pieces;
    for (const int64_t place : word.places) pieces.push_back(ids[static_cast<size_t>(place)]);
    word.text = pieces.size() == 1 ? name(pieces[0]) : trimmed(tokenizer_->decode(pieces));
  }
  return words;
}

}  // namespace formwork
