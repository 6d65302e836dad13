// Decode strategies: how a causal model's next-token distributions become outputs.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "formwork/models/model.h"

namespace formwork {

struct DecodeRequest {
  Tensor prompt;                // [B, T] int64, T >= 1: rows of one length
  int64_t tokens = 1;           // at most so many new ones a row
  std::optional<int64_t> stop;  // the token that ends a row; it is kept in the row's result
  // Told of each token as it is made; false ends the row. Strategies that go token by token call it.
  std::function<bool(int64_t row, int64_t token)> on_token = {};
  // Told of each pass of a row that verified drafts: how many tokens it gave, one or more.
  std::function<void(int64_t row, int64_t tokens)> on_pass = {};
  // Told, before the first token is made, why the runtime is not used; empty where it is.
  std::function<void(const std::string& why_plain)> on_path = {};
  uint64_t seed = 0;
  Record source = {};  // what an encoder-decoder reads: input_ids and attention_mask of its rows
  bool plain = false;  // leave the runtime's fast path alone
};

struct Continuation {
  std::vector<int64_t> tokens;
  double log_probability = 0;  // of the tokens under the model, in nats
};

class DecodeStrategy {
 public:
  static const char* kind() { return "decode"; }
  static const char* noun() { return "decode strategy"; }
  virtual ~DecodeStrategy() = default;
  // Continues every row of the prompt. Throws Error where the model has no causal order and for a prompt
  // without tokens.
  virtual std::vector<Continuation> decode(Model& model, const DecodeRequest& request) const = 0;
  // Whether the result depends on the request's seed.
  virtual bool draws() const { return false; }
};

template <>
class Registry<DecodeStrategy> : public Factory<DecodeStrategy> {};

class FastPath;

// A model that reads a prompt once and then token by token: by the runtime where it has a form for every part
// of the model, otherwise by the model itself.
class Decoder {
 public:
  Decoder(Model& model, const DecodeRequest& request);
  ~Decoder();
  // Why the runtime is not used; empty where it is.
  const std::string& why_plain() const { return why_plain_; }
  // Of the next token of each row: logits [B, V], and their logarithms of probability in double.
  const Tensor& logits() const { return logits_; }
  Tensor log_probabilities() const { return logits_.log_softmax(-1, at::kDouble); }
  // Appends one token [B], or as many [B, n], to each row.
  void append(const Tensor& tokens);
  // Goes on with copies of these rows [R] int64 alone, in this order.
  void select(const Tensor& rows);

 private:
  void read(const Tensor& ids);
  Model& model_;
  Context ctx_;
  std::string why_plain_;
  std::unique_ptr<FastPath> fast_;
  ModelState state_;  // where there is no fast path
  Tensor logits_;
};

// A strategy that chooses one token a row and step from what the model says, row by row independently.
class TokenByToken : public DecodeStrategy {
 public:
  std::vector<Continuation> decode(Model& model, const DecodeRequest& request) const final;
  // The same from a decoder that has read the request's prompt. The last token of each row is not appended.
  std::vector<Continuation> go_on(Decoder& decoder, const DecodeRequest& request) const;

  struct Step {
    const Tensor& logits;                              // [B, V] of the rows that go on
    const std::vector<int64_t>& rows;                  // [B] their places in the prompt
    const std::vector<std::vector<int64_t>>& written;  // of each row of the prompt: its tokens so far
    uint64_t seed, index;                              // of the request; of the step, from 0
  };
  virtual Tensor choose(const Step& step) const = 0;  // [B] int64
};

// A state for the request's rows and tokens, and the prompt's rows as lists. Throws Error for a prompt
// without tokens and for a request of none.
StateOptions state_options(const Model& model, const DecodeRequest& request);
std::vector<std::vector<int64_t>> rows_of(const Tensor& ids);

}  // namespace formwork
