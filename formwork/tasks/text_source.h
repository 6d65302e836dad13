// The text and the tokenizer of the language-model tasks.
#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "formwork/core/options.h"
#include "formwork/data/text_corpus.h"

namespace formwork {

struct TextOptions {
  std::string file, tokenizer = "byte";
  int64_t vocab = 1024, length = 256;
  double train_share = 0.9;
  void describe(Fields& f) {
    f.text("file", file, "a text file; empty: Formwork's own sources and documents");
    f.text("tokenizer", tokenizer,
           "byte; bpe: byte-pair encoding trained here; or a tokenizer.json. A model's own comes first");
    f.integer("vocab", vocab, "tokens of a byte-pair encoding trained here", 256, 1 << 20);
    f.integer("length", length, "tokens of a training row", 1, 1 << 20);
    f.number("train_share", train_share, "share of the text, from its start, that trains; the rest evaluates",
             0.01, 0.99);
  }
};

// The tokenizer in `meta` ("tokenizer"), or the one that the options ask for, then entered there. `train`
// gives the text that a byte-pair encoding is trained on; it gets `special` as further tokens.
std::shared_ptr<const Tokenizer> find_tokenizer(Json& meta, const std::string& kind, int64_t vocab,
                                                const std::function<std::string()>& train,
                                                const std::vector<std::string>& special = {});

// The tokenizer of a model: the one in its Spec's `meta`, or that of the files beside it (load_tokenizer), or
// bytes.
std::shared_ptr<const Tokenizer> model_tokenizer(const Json& meta, const std::filesystem::path& model);

// A text as token ids, a part to train on and a part to evaluate on.
struct TextSource {
  std::shared_ptr<const Tokenizer> tokenizer;
  TextCorpus corpus;
  std::vector<int64_t> token_bytes;  // length of each token

  static TextSource load(const TextOptions& options, Json& meta,
                         const std::vector<std::string>& special = {});
};

}  // namespace formwork
