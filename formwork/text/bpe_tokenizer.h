// Byte-level byte-pair encoding: inside each word the earliest learned merge is applied first, until none
// fits. Neural Machine Translation of Rare Words with Subword Units (2016); on bytes: Language Models are
// Unsupervised Multitask Learners (2019).
#pragma once
#include <unordered_map>

#include "formwork/text/bpe_model.h"
#include "formwork/text/tokenizer.h"

namespace formwork {

class BpeTokenizer : public Tokenizer {
 public:
  // Throws Error when a byte, or the token that a merge makes, is missing.
  explicit BpeTokenizer(BpeModel model);

  std::string_view name() const override { return "bpe"; }
  int64_t vocab_size() const override { return static_cast<int64_t>(model_.tokens.size()); }

  // O(n log w) for n bytes and words of w bytes; a word seen before in the same text is copied.
  std::vector<int64_t> encode(std::string_view text) const override;
  std::string_view token(int64_t id) const override;
  nlohmann::json to_json() const override;
  const BpeModel& model() const { return model_; }

 private:
  struct Merge {
    int32_t rank, joined;
  };
  void encode_plain(std::string_view text, std::vector<int64_t>& ids) const;
  void encode_word(std::string_view word, std::vector<int64_t>& ids) const;
  const Merge* merge_of(int64_t left, int64_t right) const;
  std::pair<size_t, int32_t> next_special(std::string_view text, size_t from) const;

  BpeModel model_;
  int32_t byte_ids_[256];
  std::unordered_map<uint64_t, Merge> merges_;
};

}  // namespace formwork
