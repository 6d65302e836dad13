// Agreement with the Hugging Face tokenizers library, where a Python that has it is at hand.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "formwork/text/models/bpe_trainer.h"

namespace formwork {
namespace {

const char* const script = R"(
import sys
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
folder = sys.argv[1]
text = open(folder + "/text.txt", encoding="utf-8", newline="").read()
ours = Tokenizer.from_file(folder + "/tokenizer.json")
ids = ours.encode(text).ids
open(folder + "/ids.txt", "w").write(" ".join(map(str, ids)))
assert ours.decode(ids, skip_special_tokens=False) == text
theirs = Tokenizer(models.BPE())
theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
theirs.train_from_iterator([text], trainers.BpeTrainer(vocab_size=400, min_frequency=2, show_progress=False,
    special_tokens=["<s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
assert theirs.get_vocab() == ours.get_vocab(), "training differs"
)";

std::string python() {
  const char* torch = std::getenv("LIBTORCH");
  std::vector<std::string> candidates;
  if (torch) candidates.push_back(std::string(torch) + "/../../../../bin/python");
  candidates.push_back("python3");
  for (const std::string& candidate : candidates)
    if (std::system((candidate + " -c 'import tokenizers' 2>/dev/null").c_str()) == 0) return candidate;
  return "";
}

}  // namespace

TEST(HuggingFace, TrainsAndEncodesTheSame) {
  const std::string interpreter = python();
  if (interpreter.empty()) GTEST_SKIP() << "no Python with the tokenizers package";
  char folder_name[] = "/tmp/tokenizer_test_XXXXXX";
  ASSERT_NE(mkdtemp(folder_name), nullptr);
  const std::filesystem::path folder = folder_name;
  const std::string piece =
      "It's a caf\xC3\xA9, isn't it?  42nd\t\xE4\xB8\xAD\xE6\x96\x87 \xF0\x9F\x98\x80 we'll\n\n  "
      "go\xC2\xA0now "
      "\xD9\xA3\xD9\xA4 banana bandana; the thing that they thought \xCC\x81x \xE2\x85\xA7 2\xC2\xBD ...\r\n";
  std::string corpus;
  for (int i = 0; i < 8; ++i) corpus += piece + "the " + std::to_string(i * 977) + "'s  ' ";
  std::ofstream(folder / "text.txt", std::ios::binary) << corpus;
  std::ofstream(folder / "compare.py") << script;
  const auto tokenizer = train_bpe(corpus, {.vocab_size = 400, .special = {"<s>"}});
  tokenizer->save(folder / "tokenizer.json");
  const std::string command = interpreter + " " + (folder / "compare.py").string() + " " + folder.string();
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::ifstream file(folder / "ids.txt");
  std::vector<int64_t> ids;
  for (int64_t id; file >> id;) ids.push_back(id);
  EXPECT_EQ(tokenizer->encode(corpus), ids);
  std::filesystem::remove_all(folder);
}

}  // namespace formwork
