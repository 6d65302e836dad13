#include "formwork/data/embedded_text.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "formwork/core/file.h"

namespace formwork {

TEST(EmbeddedText, HoldsTheSourcesAsTheyAreInOrder) {
  const std::string_view text = embedded_text();
  const size_t header = text.find("==== formwork/data/embedded_text.cpp ====\n");
  ASSERT_NE(header, std::string_view::npos);
  EXPECT_LT(header, text.find("==== formwork/text/tokenizer.h ====\n"));
  EXPECT_GT(header, text.find("==== formwork/core/error.h ====\n"));
  const char* root = std::getenv("FORMWORK_SOURCE");
  if (!root) GTEST_SKIP() << "FORMWORK_SOURCE is not set: cannot compare with the sources";
  for (const char* name : {"formwork/text/unicode/unicode_classes.cpp", "formwork/data/delimited.cpp"}) {
    const std::string block =
        "==== " + std::string(name) + " ====\n" + read_file(std::string(root) + "/" + name) + "\n";
    EXPECT_NE(text.find(block), std::string_view::npos) << name;
  }
}

TEST(EmbeddedText, SourcesAreCutOutByteByByte) {
  const char* root = std::getenv("FORMWORK_SOURCE");
  if (!root) GTEST_SKIP() << "FORMWORK_SOURCE is not set: cannot compare with the sources";
  const auto sources = embedded_sources();
  ASSERT_GT(sources.size(), 100u);
  for (const auto& source : {sources.front(), sources[50], sources.back()})
    EXPECT_EQ(source.text, read_file(std::string(root) + "/" + source.path)) << source.path;
  for (const auto& source : sources) EXPECT_TRUE(source.path.starts_with("formwork/")) << source.path;
}

}  // namespace formwork
