// The tokenizer that `tokenizer.json` describes: added tokens, normalizer, pre-tokenizer, model,
// post-processor, decoder.
#pragma once
#include <mutex>
#include <nlohmann/json.hpp>

#include "formwork/text/added_tokens.h"
#include "formwork/text/models/token_model.h"
#include "formwork/text/models/word_cache.h"
#include "formwork/text/normalizers/normalizer.h"
#include "formwork/text/post_processor.h"
#include "formwork/text/pre_tokenizers/pre_tokenizer.h"
#include "formwork/text/token_decoder.h"
#include "formwork/text/tokenizer.h"

namespace formwork {

class PipelineTokenizer final : public Tokenizer {
 public:
  // `rest` is a tokenizer.json whose model may be empty: `model` takes its place. Throws Error, starting with
  // `where`, for broken content.
  PipelineTokenizer(nlohmann::json rest, std::unique_ptr<TokenModel> model, std::string_view where);
  ~PipelineTokenizer() override;

  std::string_view name() const override { return model_->name(); }
  int64_t vocab_size() const override { return vocab_size_; }
  std::vector<int64_t> encode(std::string_view text) const override;
  Encoding encode_for_model(std::string_view text, std::optional<std::string_view> second) const override;
  std::string token(int64_t id) const override;
  std::string piece(int64_t id) const override;
  std::optional<int64_t> id_of(std::string_view piece) const override;
  bool is_special(int64_t id) const override;
  std::string decode(const std::vector<int64_t>& ids, bool skip_special) const override;
  bool lossless() const override { return lossless_; }
  nlohmann::json to_json() const override;

  const TokenModel& model() const { return *model_; }

 private:
  struct Scratch;
  class Words;
  std::unique_ptr<Scratch> borrow() const;
  void give_back(std::unique_ptr<Scratch> scratch) const;

  void make_finders();
  bool loses_nothing() const;
  void encode_segment(std::string_view text, bool first, Scratch& scratch) const;
  void encode_words(std::string_view text, bool first, Scratch& scratch) const;
  void append(const PostProcessor::Template& items, const std::vector<int64_t>& first,
              const std::vector<int64_t>& second, Encoding& out) const;
  const AddedToken* added(int64_t id) const;
  std::string decoding_text(int64_t id) const;

  nlohmann::json rest_;  // everything but the model and the added tokens
  std::unique_ptr<TokenModel> model_;
  std::unique_ptr<Normalizer> normalizer_;
  std::unique_ptr<PreTokenizer> pre_tokenizer_;
  PostProcessor post_processor_;
  std::unique_ptr<TokenDecoder> decoder_;
  std::vector<AddedToken> added_;
  std::vector<std::string> added_texts_;  // normalized where the token is
  std::vector<int32_t> added_index_;      // id -> index in added_, or -1
  std::unique_ptr<AddedTokenFinder> raw_finder_, normalized_finder_;
  int64_t vocab_size_ = 0;
  bool lossless_ = false;

  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Scratch>> spare_;  // caches that no thread uses at present
};

}  // namespace formwork
