#include "formwork/interop/companions.h"

#include "formwork/core/file.h"
#include "formwork/interop/gguf_tokenizer.h"
#include "formwork/text/chat/chat_template.h"

namespace formwork {
namespace {

namespace fs = std::filesystem;

bool is_gguf(const fs::path& place) { return place.extension() == ".gguf"; }

fs::path folder_of(const fs::path& place) { return fs::is_directory(place) ? place : place.parent_path(); }

}  // namespace

std::unique_ptr<Tokenizer> tokenizer_at(const fs::path& place) {
  if (is_gguf(place)) return gguf_tokenizer(place);
  // The special tokens are named in the files beside it.
  return load_tokenizer(place.filename() == "tokenizer.json" ? folder_of(place) : place);
}

std::unique_ptr<Tokenizer> own_tokenizer(const Json& meta) {
  const auto own = meta.find("tokenizer");
  if (own == meta.end()) return nullptr;
  if (own->is_string()) return tokenizer_at(own->get<std::string>());
  return tokenizer_from_json(nlohmann::json::parse(own->dump()), "the model's tokenizer");
}

std::string chat_template_at(const fs::path& place) {
  return is_gguf(place) ? gguf_chat_template(place) : load_chat_template(folder_of(place));
}

void copy_companions(const fs::path& place, const fs::path& folder) {
  if (is_gguf(place)) return unpack_gguf_tokenizer(place, folder);
  static const char* const names[] = {"tokenizer.json",
                                      "tokenizer_config.json",
                                      "special_tokens_map.json",
                                      "added_tokens.json",
                                      "vocab.json",
                                      "vocab.txt",
                                      "merges.txt",
                                      "tokenizer.model",
                                      "spiece.model",
                                      "sentencepiece.bpe.model",
                                      "source.spm",
                                      "target.spm",
                                      "chat_template.jinja",
                                      "generation_config.json"};
  const auto from = folder_of(place);
  if (std::error_code none; fs::equivalent(from, folder, none)) return;
  for (const char* name : names)
    if (fs::exists(from / name)) write_atomically(folder / name, read_file(from / name));
}

}  // namespace formwork
