// Folders without a tokenizer.json: vocab.json with merges.txt, and Marian's files.
#include <gtest/gtest.h>

#include <cstring>
#include <nlohmann/json.hpp>

#include "formwork/core/file.h"
#include "formwork/text/tokenizer.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

using nlohmann::json;
using Ids = std::vector<int64_t>;

// Letters, "Ġ" for a space, and the merges of " the" and "he".
json small_vocab(const std::vector<std::string>& special) {
  json vocab = json::object();
  for (const auto& token : special) vocab[token] = vocab.size();
  for (int byte = '!'; byte <= '~'; ++byte) vocab[std::string(1, static_cast<char>(byte))] = vocab.size();
  for (const char* token : {"Ġ", "he", "the", "Ġt", "Ġthe"}) vocab[token] = vocab.size();
  return vocab;
}
constexpr const char* kMerges = "#version: 0.2\nh e\nĠ t\nt he\nĠt he\n";

void write_files(const TemporaryFolder& folder, const json& vocab) {
  write_atomically(folder / "vocab.json", vocab.dump());
  write_atomically(folder / "merges.txt", kMerges);
}

TEST(VocabAndMerges, AreGpt2sUnlessSaidOtherwise) {
  const TemporaryFolder folder;
  EXPECT_FALSE(has_tokenizer(folder.path()));
  const auto vocab = small_vocab({"<|endoftext|>"});
  write_files(folder, vocab);
  EXPECT_TRUE(has_tokenizer(folder.path()));
  const auto tokenizer = load_tokenizer(folder.path());
  EXPECT_EQ(tokenizer->encode_for_model("the the<|endoftext|>x").ids,
            (Ids{vocab["the"], vocab["Ġthe"], 0, vocab["x"]}));
  EXPECT_EQ(tokenizer->decode({vocab["the"], vocab["Ġthe"]}), "the the");
  EXPECT_EQ(tokenizer->special().eos, 0);
  EXPECT_EQ(tokenizer->special().pad, std::nullopt);
  EXPECT_TRUE(tokenizer->is_special(0));

  // OPT: another token, before each text.
  const auto opt = small_vocab({"<s>", "<pad>", "</s>"});
  write_files(folder, opt);
  write_atomically(
      folder / "tokenizer_config.json",
      R"({"tokenizer_class": "GPT2Tokenizer", "add_bos_token": true, "bos_token": {"content": "</s>"},
                       "eos_token": "</s>", "pad_token": "<pad>"})");
  write_atomically(folder / "added_tokens.json", json{{"the end", 200}}.dump());
  const auto other = load_tokenizer(folder.path());
  EXPECT_EQ(other->encode_for_model("the").ids, (Ids{2, opt["the"]}));
  EXPECT_EQ(other->encode("the the end"), (Ids{opt["the"], opt["Ġ"], 200}));
  EXPECT_EQ(other->special().bos, 2);
  EXPECT_EQ(other->special().pad, 1);
  EXPECT_FALSE(other->is_special(200));
}

TEST(VocabAndMerges, AreRobertasWhereItsTokensAre) {
  const TemporaryFolder folder;
  const auto vocab = small_vocab({"<s>", "<pad>", "</s>", "<unk>", "<mask>"});
  write_files(folder, vocab);
  const int64_t the = vocab["the"], next = vocab["Ġthe"];
  const auto tokenizer = load_tokenizer(folder.path());
  EXPECT_EQ(tokenizer->encode_for_model("the the").ids, (Ids{0, the, next, 2}));
  EXPECT_EQ(tokenizer->encode_for_model("the", "the").ids, (Ids{0, the, 2, 2, the, 2}));
  // The mask takes the space before it.
  EXPECT_EQ(tokenizer->encode("the <mask> the"), (Ids{the, 4, next}));
  EXPECT_EQ(tokenizer->special().mask, 4);
  EXPECT_EQ(tokenizer->special().cls, 0);
  write_atomically(folder / "tokenizer_config.json",
                   R"({"tokenizer_class": "BartTokenizerFast", "add_prefix_space": true})");
  EXPECT_EQ(load_tokenizer(folder.path())->encode("the"), (Ids{next}));
}

TEST(VocabAndMerges, RefusalsNameTheFile) {
  const TemporaryFolder folder;
  const auto refused = [&] { return error_of([&] { load_tokenizer(folder.path()); }); };
  write_files(folder, small_vocab({"<|endoftext|>"}));
  write_atomically(folder / "tokenizer_config.json", R"({"tokenizer_class": "CLIPTokenizer"})");
  EXPECT_NE(refused().find("'CLIPTokenizer'"), std::string::npos) << refused();
  write_atomically(folder / "tokenizer_config.json", R"({"tokenizer_class": "RobertaTokenizer"})");
  EXPECT_NE(refused().find("sep_token '</s>'"), std::string::npos) << refused();
  write_atomically(folder / "tokenizer_config.json", "{}");
  write_atomically(folder / "merges.txt", "h e\nhe\n");
  EXPECT_NE(refused().find("merges.txt: expected two tokens a line, found 'he'"), std::string::npos)
      << refused();
  write_atomically(folder / "merges.txt", "h e\nq u\n");
  EXPECT_NE(refused(), "");
}

// A SentencePiece model in its wire format: pieces (text, score, type), and the trainer's kind.
std::string sentence_piece_file(const std::vector<std::tuple<std::string, float, int>>& pieces,
                                int kind = 1) {
  const auto field = [](int number, const std::string& bytes) {
    return std::string(1, static_cast<char>(number << 3 | 2)) + static_cast<char>(bytes.size()) + bytes;
  };
  std::string file;
  for (const auto& [text, score, type] : pieces) {
    char bits[4];
    std::memcpy(bits, &score, 4);
    file += field(1, field(1, text) + '\x15' + std::string(bits, 4) + '\x18' + static_cast<char>(type));
  }
  return file + field(2, std::string("\x18") + static_cast<char>(kind)) + field(3, "");
}

const std::vector<std::tuple<std::string, float, int>> kPieces = {
    {"<unk>", 0, 2}, {"<s>", 0, 3},   {"</s>", 0, 3}, {"▁", -3, 1},      {"a", -2, 1},
    {"b", -2, 1},    {"ab", -2.5, 1}, {"▁ab", -4, 1}, {"lost", -1.5, 1}, {"▁b", -4, 1}};

TEST(MarianFiles, TakePiecesFromTheSourceAndIdsFromTheVocabulary) {
  const TemporaryFolder folder;
  write_atomically(folder / "source.spm", sentence_piece_file(kPieces));
  // "lost" has no id; "zq" and "é" are pieces of the target alone.
  write_atomically(
      folder / "vocab.json",
      R"({"</s>": 0, "<unk>": 1, "▁ab": 2, "ab": 3, "a": 4, "b": 5, "▁": 6, "é": 7, "zq": 8, "▁b": 9,
                       ">>fr<<": 10, "<pad>": 11})");
  const auto tokenizer = load_tokenizer(folder.path());
  EXPECT_EQ(tokenizer->vocab_size(), 12);
  EXPECT_EQ(tokenizer->encode_for_model("ab b").ids, (Ids{2, 9, 0}));
  EXPECT_EQ(tokenizer->encode(">>fr<< abab"), (Ids{10, 2, 3}));
  EXPECT_EQ(tokenizer->encode("ablost"), (Ids{2, 1}));
  // A run of characters that the source has not, as a whole.
  EXPECT_EQ(tokenizer->encode("abé"), (Ids{2, 7}));
  EXPECT_EQ(tokenizer->encode("abzqb"), (Ids{2, 8, 5}));
  EXPECT_EQ(tokenizer->encode("abzz"), (Ids{2, 1}));
  // Pieces of control are no text.
  EXPECT_EQ(tokenizer->encode("a<s>"), (Ids{6, 4, 1}));
  EXPECT_EQ(tokenizer->decode({2, 9, 7, 0}, true), "ab bé");
  EXPECT_EQ(tokenizer->special().eos, 0);
  EXPECT_EQ(tokenizer->special().pad, 11);
  // Through its own JSON.
  const auto again = tokenizer_from_json(tokenizer->to_json(), "again");
  EXPECT_EQ(again->encode_for_model("abzqb ab>>fr<<éblost").ids,
            tokenizer->encode_for_model("abzqb ab>>fr<<éblost").ids);
}

TEST(MarianFiles, RefusalsNameTheFile) {
  const TemporaryFolder folder;
  const auto refused = [&] { return error_of([&] { load_tokenizer(folder.path()); }); };
  write_atomically(folder / "vocab.json", R"({"</s>": 0, "a": 1})");
  write_atomically(folder / "source.spm", sentence_piece_file(kPieces));
  EXPECT_NE(refused().find("vocab.json: expected the unknown token '<unk>'"), std::string::npos) << refused();
  write_atomically(folder / "vocab.json", R"({"</s>": 0, "<unk>": 1})");
  write_atomically(folder / "source.spm", sentence_piece_file(kPieces, 2));
  EXPECT_NE(refused().find("source.spm: expected a Unigram model"), std::string::npos) << refused();
  write_atomically(folder / "tokenizer_config.json", R"({"separate_vocabs": true})");
  EXPECT_NE(refused().find("separate_vocabs"), std::string::npos) << refused();
}

}  // namespace
}  // namespace formwork
