#include "formwork/data/table.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <set>

#include "formwork/core/error.h"
#include "formwork/data/delimited.h"
#include "formwork/data/sampling.h"

namespace formwork {
namespace {

using Cells = std::vector<std::string>;

template <class Call>
std::string message_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string data_file(const char* name) {
  const char* folder = std::getenv("FORMWORK_DATA");
  return folder ? std::string(folder) + name : "";
}

}  // namespace

TEST(Csv, ReadsQuotesAsRfc4180Says) {
  const auto rows = parse_csv(
      "\xEF\xBB\xBF"
      "a,b\r\n\"x, \"\"y\"\"\n2\",\r\n\r\n,\"\"\n",
      "f");
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].cells, (Cells{"a", "b"}));
  EXPECT_EQ(rows[1].cells, (Cells{"x, \"y\"\n2", ""}));
  EXPECT_EQ(rows[2].cells, (Cells{"", ""}));
  EXPECT_EQ(rows[1].line, 2);
  EXPECT_EQ(rows[2].line, 5);
}

TEST(Csv, NamesFileAndLineOfErrors) {
  const auto error = [](std::string_view content) {
    return message_of([&] { parse_csv(content, "f.csv"); });
  };
  EXPECT_EQ(error("a,b\nc\n"), "f.csv:2: expected 2 columns as in line 1, found 1");
  EXPECT_EQ(error("a\n\"b\nc"), "f.csv:2: a quote is opened and never closed");
  EXPECT_EQ(error("\"a\"b"),
            "f.csv:1: expected a comma or the end of the line after a closing quote, found 'b'");
  EXPECT_NE(error("a\"b").find("f.csv:1: quote inside an unquoted cell"), std::string::npos);
}

TEST(Tsv, TakesQuotesAsTheyAre) {
  const auto rows = parse_tsv("say \"hi\t1\nx\t\n", "f");
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(rows[0].cells, (Cells{"say \"hi", "1"}));
  EXPECT_EQ(rows[1].cells, (Cells{"x", ""}));
}

TEST(Table, GuessesNamedColumnsAndSortsLabels) {
  const TextTable table = csv_table("id,Class,Sentence\n1,pos,good\n2,neg,bad\n3,pos,fine\n", "f");
  EXPECT_EQ(table.texts, (Cells{"good", "bad", "fine"}));
  EXPECT_EQ(table.label_names, (Cells{"neg", "pos"}));
  EXPECT_EQ(table.labels, (std::vector<int64_t>{1, 0, 1}));
}

TEST(Table, TellsColumnsWithoutAHeader) {
  const TextTable table = tsv_table("a fine film\t1\na dull film\t0\nbad\t0\n", "f");
  EXPECT_EQ(table.texts[2], "bad");
  EXPECT_EQ(table.labels, (std::vector<int64_t>{1, 0, 0}));
  EXPECT_EQ(csv_table("1,x,long text\n2,x,y\n", "f", {"3", "1"}).label_names, (Cells{"1", "2"}));
  EXPECT_EQ(message_of([] {
              csv_table("1,x\n", "f", {"9", ""});
            }),
            "f: expected the text column as a number from 1 to 2 (the file has no header), found '9'");
}

TEST(Table, ReadsJsonLines) {
  const TextTable table =
      jsonl_table("{\"text\": \"a\", \"label\": 1}\n\n{\"label\": 0, \"text\": \"b\"}\n", "f");
  EXPECT_EQ(table.texts, (Cells{"a", "b"}));
  EXPECT_EQ(table.label_names, (Cells{"0", "1"}));
  EXPECT_EQ(message_of([] { jsonl_table("{\"text\": \"a\", \"label\": 1}\n{\"text\": \"b\"}", "f"); }),
            "f:2: expected a field 'label', found none");
  EXPECT_EQ(message_of([] { jsonl_table("[1]", "f"); }), "f:1: expected a JSON object, found a array");
}

TEST(Table, NamesTheNearestColumn) {
  EXPECT_EQ(message_of([] {
              csv_table("text,lable\na,b\n", "f", {"", "label"});
            }),
            "f: no label column 'label'; did you mean 'lable'? The columns are text, lable");
}

TEST(Table, NumbersLabelsAsAnotherTableDoes) {
  const TextTable test = csv_table("text,label\nx,b\n", "f");
  EXPECT_EQ(with_label_names(test, {"a", "b"}, "f").labels[0], 1);
  EXPECT_EQ(message_of([&] { with_label_names(test, {"a"}, "f"); }),
            "f: label 'b' is not among the known labels a");
}

TEST(Table, ReadsRealFiles) {
  if (data_file("").empty()) GTEST_SKIP() << "FORMWORK_DATA is not set: no real tables";
  const TextTable sst = load_table(data_file("/nlp/sst2-dev.tsv"));
  EXPECT_EQ(sst.texts.size(), 872u);
  EXPECT_EQ(sst.label_names, (Cells{"0", "1"}));
  const TextTable news = load_table(data_file("/nlp/ag-news.csv"));
  EXPECT_EQ(news.texts.size(), 7600u);
  EXPECT_EQ(news.label_names, (Cells{"1", "2", "3", "4"}));
  EXPECT_GT(news.texts[0].size(), 80u);
}

// Random bytes give a table or one Error line, never anything else.
TEST(Table, SurvivesRandomBytes) {
  std::mt19937 random(11);
  const std::string alphabet = "a,\"\n\r\t{}[]:1tex\\\xC3\xFF" + std::string(1, '\0');
  int errors = 0;
  for (int trial = 0; trial < 3000; ++trial) {
    std::string content = trial % 3 == 0   ? "text,label\n"
                          : trial % 3 == 1 ? "{\"text\":\"a\",\"label\":1}\n"
                                           : "";
    for (int i = random() % 40; i > 0; --i) content += alphabet[random() % alphabet.size()];
    for (const auto& read : {csv_table, tsv_table, jsonl_table}) {
      const std::string message = message_of([&] { read(content, "f", {}); });
      errors += message != "no error";
      EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    }
  }
  EXPECT_GT(errors, 3000);
}

TEST(Sampling, SplitsAndShufflesReproducibly) {
  const RowSplit split = split_rows(100, 0.2, 3);
  EXPECT_EQ(split.validation.size(), 20u);
  std::set<int64_t> all(split.train.begin(), split.train.end());
  all.insert(split.validation.begin(), split.validation.end());
  EXPECT_EQ(all.size(), 100u);
  EXPECT_EQ(split.train, split_rows(100, 0.2, 3).train);
  EXPECT_NE(split.train, split_rows(100, 0.2, 4).train);
  const auto order = epoch_order(split.train, 3, 0);
  EXPECT_EQ(order, epoch_order(split.train, 3, 0));
  EXPECT_NE(order, epoch_order(split.train, 3, 1));
  EXPECT_TRUE(std::is_permutation(order.begin(), order.end(), split.train.begin(), split.train.end()));
  EXPECT_EQ(in_batches(order, 32).back().size(), 80u % 32);
  EXPECT_THROW(split_rows(0, 0.1, 1), Error);
}

TEST(Sampling, PadsAndCutsRows) {
  const LabelledBatch batch = padded_batch({{1, 2, 3}, {}, {4}}, {7, 8, 9}, {2, 0, 1}, 2, 5);
  EXPECT_TRUE(at::equal(batch.tokens, at::tensor({4, 5, 1, 2, 5, 5}, at::kLong).view({3, 2})));
  EXPECT_TRUE(at::equal(batch.lengths, at::tensor({1, 2, 0}, at::kLong)));
  EXPECT_TRUE(at::equal(batch.labels, at::tensor({9, 7, 8}, at::kLong)));
  EXPECT_THROW(padded_batch({{1}}, {0}, {1}, 4, 0), Error);
}

}  // namespace formwork
