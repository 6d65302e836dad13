#include "formwork/tasks/text_source.h"

#include "formwork/core/error.h"
#include "formwork/core/file.h"
#include "formwork/data/embedded_text.h"
#include "formwork/interop/companions.h"
#include "formwork/text/byte_tokenizer.h"
#include "formwork/text/models/bpe_trainer.h"

namespace formwork {
namespace {

std::unique_ptr<Tokenizer> make_tokenizer(const std::string& kind, int64_t vocab,
                                          const std::function<std::string()>& text,
                                          const std::vector<std::string>& special) {
  if (kind == "byte" && special.empty()) return byte_tokenizer();
  if (kind == "byte" || kind == "bpe") {
    BpeTraining training;
    training.special = special;
    training.vocab_size = (kind == "byte" ? 256 : vocab) + static_cast<int64_t>(special.size());
    return train_bpe(text(), training);
  }
  if (kind.ends_with(".json")) return load_tokenizer(kind);
  fail_unknown("tokenizer", kind, {"byte", "bpe", "FILE.json"});
}

}  // namespace

std::shared_ptr<const Tokenizer> find_tokenizer(Json& meta, const std::string& kind, int64_t vocab,
                                                const std::function<std::string()>& train,
                                                const std::vector<std::string>& special) {
  if (auto own = own_tokenizer(meta)) return own;
  if (meta.contains("symbols"))
    fail("expected a model of text, found one whose tokens are {} symbols of a generated task",
         meta["symbols"].size());
  if (meta.contains("hugging_face"))
    fail("expected a tokenizer beside the model, which came with a vocabulary of its own; found none");
  auto tokenizer = make_tokenizer(kind, vocab, train, special);
  meta["tokenizer"] = Json::parse(tokenizer->to_json().dump());
  return tokenizer;
}

std::shared_ptr<const Tokenizer> model_tokenizer(const Json& meta, const std::filesystem::path& model) {
  if (!meta.contains("tokenizer") && has_tokenizer(model)) return load_tokenizer(model);
  Json copy = meta;
  return find_tokenizer(copy, "byte", 256, [] { return std::string(); });
}

TextSource TextSource::load(const TextOptions& options, Json& meta, const std::vector<std::string>& special) {
  const std::string text = options.file.empty() ? std::string(embedded_text()) : read_file(options.file);
  if (text.empty()) fail("'{}' is empty", options.file);
  const auto training_text = [&] {
    return text.substr(0, static_cast<size_t>(static_cast<double>(text.size()) * options.train_share));
  };
  auto tokenizer = find_tokenizer(meta, options.tokenizer, options.vocab, training_text, special);
  TextSource source{tokenizer, TextCorpus(text, *tokenizer, options.train_share), {}};
  for (int64_t id = 0; id < tokenizer->vocab_size(); ++id)
    source.token_bytes.push_back(static_cast<int64_t>(tokenizer->token(id).size()));
  return source;
}

}  // namespace formwork
