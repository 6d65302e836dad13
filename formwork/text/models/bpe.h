// Byte-pair encoding: inside each word the earliest learned merge is applied first, until none fits. Neural
// Machine Translation of Rare Words with Subword Units (2016); on bytes: Language Models are Unsupervised
// Multitask Learners (2019).
#pragma once
#include <optional>
#include <string>

#include "formwork/text/models/merge_table.h"
#include "formwork/text/models/token_model.h"

namespace formwork {

struct BpeOptions {
  ByteForm bytes = ByteForm::printable;  // raw: words are bytes, tokens are written in the byte alphabet
  std::optional<std::string> unknown;    // the token for characters outside the vocabulary
  std::string prefix, suffix;            // of tokens inside a word, of the last token of a word
  bool fuse_unknown = false;             // neighbouring unknown characters make one token
  bool byte_fallback = false;            // unknown characters become <0x..> tokens
  bool ignore_merges = false;            // a word that is a token is not merged
};

class Bpe final : public TokenModel {
 public:
  struct Merge {
    int32_t left, right, rank;  // lower ranks go first, of equal ones the leftmost in the word
  };
  using Merges = std::vector<Merge>;

  // Throws Error when a merge makes a token that is missing, or the unknown token is.
  Bpe(Vocabulary vocabulary, const Merges& merges, BpeOptions options, std::string_view where);

  std::string_view name() const override { return "bpe"; }
  // O(w^2) for short words of w characters, O(w log w) for long ones.
  void encode(std::string_view word, std::vector<int32_t>& ids) const override;
  nlohmann::json to_json() const override;
  ByteForm bytes() const override { return options_.bytes; }
  std::string_view boundary() const override { return boundary_; }
  bool covers_bytes() const override;

  // In the order of their ranks.
  Merges merges() const;

 private:
  void start_bytes(std::string_view word, std::vector<int32_t>& ids) const;
  void start_characters(std::string_view word, std::vector<int32_t>& ids) const;
  void merge(std::vector<int32_t>& ids, size_t first) const;
  void find_boundary(const Merges& merges);

  BpeOptions options_;
  MergeTable merges_;
  std::vector<int32_t> byte_ids_, fallback_ids_;
  int32_t unknown_id_ = -1;
  std::string boundary_;
};

// A merge for every way to cut a token of the vocabulary into two of them, ranked by the token it makes:
// ranks[id], or none where it is negative. So merge SentencePiece models and tiktoken files, which list
// tokens and no merges.
Bpe::Merges merges_by_token(const Vocabulary& vocabulary, const std::vector<int32_t>& ranks);

}  // namespace formwork
