#include "formwork/text/pipeline_tokenizer.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "formwork/core/error.h"
#include "formwork/text/json_fields.h"
#include "formwork/text/unicode/byte_level.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {

using nlohmann::json;

struct PipelineTokenizer::Scratch {
  WordCache cache;
  std::vector<int32_t> ids;
};

// Takes words from the pre-tokenizer, cuts them at the model's boundary and encodes them.
class PipelineTokenizer::Words final : public WordSink {
 public:
  Words(const TokenModel& model, Scratch& scratch)
      : model_(model), boundary_(model.boundary()), scratch_(scratch) {}

  void word(std::string_view text, bool) override {
    if (boundary_.empty()) return encode(text);
    size_t start = 0, run = 0;  // run: where the last run of boundary characters ended
    for (size_t at = text.find(boundary_); at != std::string_view::npos; at = text.find(boundary_, run)) {
      if (at > run) {
        encode(text.substr(start, at - start));
        start = at;
      }
      run = at + boundary_.size();
    }
    if (start < text.size()) encode(text.substr(start));
  }

 private:
  void encode(std::string_view text) {
    if (text.empty()) return;
    scratch_.cache.encode(text, scratch_.ids, [&] { model_.encode(text, scratch_.ids); });
  }

  const TokenModel& model_;
  std::string_view boundary_;
  Scratch& scratch_;
};

PipelineTokenizer::PipelineTokenizer(json rest, std::unique_ptr<TokenModel> model, std::string_view where)
    : rest_(std::move(rest)), model_(std::move(model)) {
  const auto part = [&](const char* key) -> const json* {
    const auto found = rest_.find(key);
    return found == rest_.end() || found->is_null() ? nullptr : &*found;
  };
  if (const json* content = part("normalizer")) normalizer_ = make_normalizer(*content, where);
  if (const json* content = part("pre_tokenizer"))
    pre_tokenizer_ = make_pre_tokenizer(*content, model_->bytes(), where);
  if (const json* content = part("post_processor")) post_processor_ = make_post_processor(*content, where);
  if (const json* content = part("decoder")) decoder_ = make_token_decoder(*content, where);
  if (const json* content = part("added_tokens")) added_ = added_tokens_from_json(*content, where);
  rest_.erase("added_tokens");
  rest_.erase("model");

  vocab_size_ = model_->vocabulary().size();
  const int64_t limit = 4 * (vocab_size_ + static_cast<int64_t>(added_.size())) + 4096;
  for (AddedToken& token : added_) {
    if (const int32_t known = model_->vocabulary().find(token.content); known >= 0) token.id = known;
    if (token.id >= limit) fail("{}: expected a token id in [0, {}), found {}", where, limit, token.id);
    vocab_size_ = std::max(vocab_size_, token.id + 1);
  }
  for (const auto* items : {&post_processor_.single, &post_processor_.pair})
    for (const auto& item : *items)
      for (const int64_t id : item.ids)
        if (id >= vocab_size_)
          fail("{}: the post-processor adds token {}, but there are {}", where, id, vocab_size_);
  make_finders();
  lossless_ = loses_nothing();
}

PipelineTokenizer::~PipelineTokenizer() = default;

void PipelineTokenizer::make_finders() {
  std::vector<size_t> raw, normalized;
  std::vector<std::string> raw_texts, normalized_texts;
  added_index_.assign(static_cast<size_t>(vocab_size_), -1);
  for (size_t i = 0; i < added_.size(); ++i) {
    const AddedToken& token = added_[i];
    std::string text = token.content;
    if (token.normalized && normalizer_) normalizer_->normalize(text);
    added_index_[static_cast<size_t>(token.id)] = static_cast<int32_t>(i);
    (token.normalized ? normalized : raw).push_back(i);
    (token.normalized ? normalized_texts : raw_texts).push_back(text);
    added_texts_.push_back(std::move(text));
  }
  raw_finder_ = std::make_unique<AddedTokenFinder>(added_, raw, raw_texts);
  normalized_finder_ = std::make_unique<AddedTokenFinder>(added_, normalized, normalized_texts);
}

bool PipelineTokenizer::loses_nothing() const {
  const bool strips = std::any_of(added_.begin(), added_.end(),
                                  [](const AddedToken& token) { return token.lstrip || token.rstrip; });
  return !normalizer_ && pre_tokenizer_ && pre_tokenizer_->keeps_bytes() && model_->covers_bytes() &&
         !strips && rest_.contains("decoder") && rest_["decoder"].is_object() &&
         rest_["decoder"].value("type", json()) == "ByteLevel";
}

std::unique_ptr<PipelineTokenizer::Scratch> PipelineTokenizer::borrow() const {
  {
    const std::lock_guard lock(mutex_);
    if (!spare_.empty()) {
      auto scratch = std::move(spare_.back());
      spare_.pop_back();
      return scratch;
    }
  }
  return std::make_unique<Scratch>();
}

void PipelineTokenizer::give_back(std::unique_ptr<Scratch> scratch) const {
  scratch->ids.clear();
  const std::lock_guard lock(mutex_);
  spare_.push_back(std::move(scratch));
}

void PipelineTokenizer::encode_words(std::string_view text, bool first, Scratch& scratch) const {
  Words words(*model_, scratch);
  if (pre_tokenizer_)
    pre_tokenizer_->split(text, first, words);
  else
    words.word(text, first);
}

// A stretch without the tokens that are looked for in raw text.
void PipelineTokenizer::encode_segment(std::string_view text, bool first, Scratch& scratch) const {
  std::string normalized;
  if (normalizer_) {
    normalized = text;
    normalizer_->normalize(normalized);
    text = normalized;
  }
  normalized_finder_->split(
      text,
      [&](size_t begin, size_t end) {
        encode_words(text.substr(begin, end - begin), first && begin == 0, scratch);
      },
      [&](const AddedToken& token) { scratch.ids.push_back(static_cast<int32_t>(token.id)); });
}

std::vector<int64_t> PipelineTokenizer::encode(std::string_view text) const {
  std::string repaired;
  if (!lossless_ && !is_utf8(text)) {
    repaired = utf8_replaced(text);
    text = repaired;
  }
  auto scratch = borrow();
  raw_finder_->split(
      text,
      [&](size_t begin, size_t end) {
        encode_segment(text.substr(begin, end - begin), begin == 0, *scratch);
      },
      [&](const AddedToken& token) { scratch->ids.push_back(static_cast<int32_t>(token.id)); });
  std::vector<int64_t> ids(scratch->ids.begin(), scratch->ids.end());
  give_back(std::move(scratch));
  return ids;
}

void PipelineTokenizer::append(const PostProcessor::Template& items, const std::vector<int64_t>& first,
                               const std::vector<int64_t>& second, Encoding& out) const {
  using Kind = PostProcessor::Item::Kind;
  for (const auto& item : items) {
    const auto& ids = item.kind == Kind::first ? first : item.kind == Kind::second ? second : item.ids;
    out.ids.insert(out.ids.end(), ids.begin(), ids.end());
    out.types.insert(out.types.end(), ids.size(), item.type);
  }
}

Encoding PipelineTokenizer::encode_for_model(std::string_view text,
                                             std::optional<std::string_view> second) const {
  Encoding result;
  append(second ? post_processor_.pair : post_processor_.single, encode(text),
         second ? encode(*second) : std::vector<int64_t>(), result);
  return result;
}

const AddedToken* PipelineTokenizer::added(int64_t id) const {
  const int32_t index = added_index_[static_cast<size_t>(id)];
  return index < 0 ? nullptr : &added_[static_cast<size_t>(index)];
}

std::string PipelineTokenizer::piece(int64_t id) const {
  if (id < 0 || id >= vocab_size_) fail("expected a token id in [0, {}), found {}", vocab_size_, id);
  if (const AddedToken* token = added(id)) return token->content;
  return std::string(model_->vocabulary().text(id));
}

std::string PipelineTokenizer::decoding_text(int64_t id) const {
  if (id >= 0 && id < vocab_size_)
    if (const int32_t index = added_index_[static_cast<size_t>(id)]; index >= 0)
      return added_texts_[static_cast<size_t>(index)];
  return piece(id);
}

std::string PipelineTokenizer::token(int64_t id) const {
  const std::string text = piece(id);
  if (is_special(id) || !decoder_) return text;
  if (const int byte = fallback_byte(text); byte >= 0 && model_->bytes() == ByteForm::printable)
    return {static_cast<char>(byte)};
  std::vector<std::string> texts = {"x", text};  // not the first token: its leading space is kept
  decoder_->decode(texts);
  std::string joined;
  for (const std::string& part : texts) joined += part;
  return joined.substr(std::min<size_t>(1, joined.size()));
}

std::optional<int64_t> PipelineTokenizer::id_of(std::string_view piece) const {
  for (const AddedToken& token : added_)
    if (token.content == piece) return token.id;
  const int32_t id = model_->vocabulary().find(piece);
  if (id < 0) return std::nullopt;
  return id;
}

bool PipelineTokenizer::is_special(int64_t id) const {
  if (id < 0 || id >= vocab_size_) return false;
  const AddedToken* token = added(id);
  return token && token->special;
}

std::string PipelineTokenizer::decode(const std::vector<int64_t>& ids, bool skip_special) const {
  std::vector<std::string> texts;
  texts.reserve(ids.size());
  for (const int64_t id : ids)
    if (!(skip_special && is_special(id))) texts.push_back(decoding_text(id));
  if (decoder_) decoder_->decode(texts);
  std::string result;
  for (size_t i = 0; i < texts.size(); ++i) {
    if (i > 0 && !decoder_) result += ' ';
    result += texts[i];
  }
  return result;
}

json PipelineTokenizer::to_json() const {
  json content = rest_;
  content["added_tokens"] = added_tokens_to_json(added_);
  content["model"] = model_->to_json();
  return content;
}

}  // namespace formwork
