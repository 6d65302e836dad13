#include <gtest/gtest.h>

#include <iterator>
#include <set>
#include <sstream>

#include "formwork/core/error.h"
#include "formwork/data/generated/generated_task.h"

namespace formwork {
namespace {

using Words = std::vector<std::string>;

Words split(const std::string& text) {
  std::istringstream stream(text);
  return {std::istream_iterator<std::string>(stream), {}};
}

// The input as words, and the targets that count.
struct Shown {
  Words input, answer;
};

Shown show(const GeneratedTask& task, const GeneratedSample& sample) {
  std::vector<int64_t> counted;
  for (size_t t = 0; t < sample.targets.size(); ++t)
    if (sample.loss_mask[t]) counted.push_back(sample.targets[t]);
  return {split(task.decode(sample.input_ids)), split(task.decode(counted))};
}

// Calls check(input, answer) for `count` samples.
template <class Check>
void for_samples(const std::string& name, const nlohmann::json& options, int count, Check&& check) {
  const auto task = make_generated_task(name, options);
  for (int index = 0; index < count; ++index) {
    const Shown shown = show(*task, task->sample(9, index));
    check(shown.input, shown.answer);
  }
}

std::string message_of(const std::string& name, const nlohmann::json& options) {
  try {
    make_generated_task(name, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// Checks a row-to-row task: input is "row | answer" without the final ".".
void check_rows(const std::string& name, void (*change)(Words&)) {
  for_samples(name, {{"max_length", 12}}, 50, [&](const Words& input, const Words& answer) {
    const auto bar = std::find(input.begin(), input.end(), "|");
    Words expected(input.begin(), bar);
    change(expected);
    EXPECT_EQ(Words(bar + 1, input.end()), expected);
    expected.push_back(".");
    EXPECT_EQ(answer, expected);
  });
}

// A stack machine, unlike the recursive generator.
int64_t evaluate(const Words& input) {
  std::vector<std::pair<std::string, std::vector<int64_t>>> stack = {{"", {}}};
  for (const std::string& word : input) {
    if (word[0] == '[') {
      stack.push_back({word.substr(1), {}});
      continue;
    }
    if (word != "]") {
      stack.back().second.push_back(std::stoll(word));
      continue;
    }
    auto [name, values] = stack.back();
    stack.pop_back();
    std::sort(values.begin(), values.end());
    int64_t result = 0;
    if (name == "MIN") result = values.front();
    if (name == "MAX") result = values.back();
    if (name == "MED") result = (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
    if (name == "SM")
      for (int64_t value : values) result = (result + value) % 10;
    stack.back().second.push_back(result);
  }
  EXPECT_EQ(stack.size(), 1u);
  return stack.back().second.at(0);
}

}  // namespace

TEST(Generated, EveryTaskKeepsItsPromises) {
  EXPECT_EQ(generated_task_names().size(), 12u);
  for (const std::string& name : generated_task_names()) {
    const auto task = make_generated_task(name);
    std::set<std::vector<int64_t>> different;
    for (int64_t index = 0; index < 20; ++index) {
      const GeneratedSample sample = task->sample(1, index);
      EXPECT_EQ(sample.input_ids, task->sample(1, index).input_ids) << name;
      EXPECT_EQ(sample.input_ids.size(), sample.targets.size()) << name;
      EXPECT_EQ(sample.input_ids.size(), sample.loss_mask.size()) << name;
      EXPECT_NE(std::count(sample.loss_mask.begin(), sample.loss_mask.end(), 1), 0) << name;
      EXPECT_NO_THROW(task->decode(sample.input_ids) + task->decode(sample.targets));
      different.insert(sample.input_ids);
    }
    EXPECT_GT(different.size(), 8u) << name;
    const std::set<std::string> unique(task->symbols().begin(), task->symbols().end());
    EXPECT_EQ(static_cast<int64_t>(unique.size()), task->vocab_size()) << name;
    EXPECT_NE(describe_generated_task(name).find(" = "), std::string::npos);
  }
}

TEST(Generated, BatchesPadSamplesOnTheRight) {
  const auto task = make_generated_task("copy");
  const GeneratedBatch batch = generated_batch(*task, 4, 3, 5);
  for (int64_t row = 0; row < 5; ++row) {
    const GeneratedSample sample = task->sample(4, 15 + row);
    const int64_t length = batch.lengths[row].item<int64_t>();
    ASSERT_EQ(length, static_cast<int64_t>(sample.input_ids.size()));
    EXPECT_TRUE(at::equal(batch.input_ids[row].slice(0, 0, length), at::tensor(sample.input_ids, at::kLong)));
    EXPECT_TRUE(at::equal(batch.targets[row].slice(0, 0, length), at::tensor(sample.targets, at::kLong)));
    EXPECT_EQ(batch.loss_mask[row].sum().item<int64_t>(),
              std::count(sample.loss_mask.begin(), sample.loss_mask.end(), 1));
    EXPECT_FALSE(batch.loss_mask[row].slice(0, length).any().item<bool>());
  }
}

TEST(Generated, RowTasksAnswerRight) {
  check_rows("copy", [](Words&) {});
  check_rows("reverse", [](Words& row) { row = Words(row.rbegin(), row.rend()); });
  check_rows("sort", [](Words& row) { std::sort(row.begin(), row.end()); });
}

TEST(Generated, InductionHeadsRecallsWhatFollowedTheMark) {
  for_samples("induction_heads", {{"length", 9}, {"symbols", 4}}, 50,
              [](const Words& input, const Words& answer) {
                ASSERT_EQ(input.size(), 9u);
                EXPECT_EQ(input.back(), "*");
                EXPECT_EQ(std::count(input.begin(), input.end(), "*"), 2);
                EXPECT_EQ(answer, Words{*(std::find(input.begin(), input.end(), "*") + 1)});
              });
}

TEST(Generated, SuccessorsCountsWhatTheRowItselfTells) {
  const auto task = make_generated_task("successors", {{"length", 12}, {"symbols", 5}, {"landings", 2}});
  int counted = 0, others = 0;
  for (int index = 0; index < 50; ++index) {
    const auto sample = task->sample(9, index);
    const auto& row = sample.input_ids;
    ASSERT_EQ(row.size(), 12u);
    for (size_t t = 0; t < row.size(); ++t) {
      if (t + 1 < row.size()) EXPECT_EQ(sample.targets[t], row[t + 1]);
      // What followed the same symbol when it came last.
      int64_t followed = -1;
      for (size_t j = 0; j < t; ++j)
        if (row[j] == row[t]) followed = row[j + 1];
      EXPECT_EQ(sample.loss_mask[t] != 0, followed == sample.targets[t]);
      (sample.loss_mask[t] ? counted : others)++;
    }
  }
  EXPECT_GT(counted, 100);
  EXPECT_GT(others, 100);
  // Without jumps a row walks along its permutation.
  const auto plain =
      make_generated_task("successors", {{"jump", 0.0}, {"length", 30}, {"symbols", 6}, {"landings", 2}});
  const auto row = plain->sample(1, 0).input_ids;
  std::map<int64_t, int64_t> follows;
  for (size_t t = 0; t + 1 < row.size(); ++t)
    EXPECT_EQ(follows.emplace(row[t], row[t + 1]).first->second, row[t + 1]);
  EXPECT_NE(message_of("successors", {{"symbols", 3}, {"landings", 4}}).find("at most 3 landings"),
            std::string::npos);
}

TEST(Generated, NeedleAsksForAKeyThatStoodInTheFiller) {
  std::set<int64_t> places;
  for_samples("needle", {{"length", 20}, {"needles", 3}}, 50, [&](const Words& input, const Words& answer) {
    ASSERT_EQ(input.size(), 22u);
    EXPECT_EQ(input[20], "?");
    EXPECT_EQ(std::count(input.begin(), input.end(), "!"), 3);
    std::map<std::string, std::string> found;
    for (size_t i = 0; i < 20; ++i) {
      if (input[i] != "!") continue;
      found[input[i + 1]] = input[i + 2];
      places.insert(static_cast<int64_t>(i));
    }
    EXPECT_EQ(found.size(), 3u);
    EXPECT_EQ(answer, Words{found.at(input[21])});
  });
  EXPECT_GT(places.size(), 15u);  // of 0 .. 17
  EXPECT_NE(message_of("needle", {{"needles", 4}, {"length", 11}}), "no error");
  EXPECT_NE(message_of("needle", {{"needles", 17}}), "no error");
}

TEST(Generated, ModularArithmeticIsRight) {
  for (const std::string operation : {"add", "subtract", "multiply"}) {
    for_samples("modular_arithmetic", {{"modulus", 7}, {"operands", 3}, {"operation", operation}}, 50,
                [&](const Words& input, const Words& answer) {
                  ASSERT_EQ(input.size(), 6u);
                  const int a = std::stoi(input[0]), b = std::stoi(input[2]), c = std::stoi(input[4]);
                  const int value = input[1] == "+" ? a + b + c : input[1] == "-" ? a - b - c : a * b * c;
                  EXPECT_EQ(answer, Words{std::to_string((value % 7 + 7) % 7)});
                });
  }
}

TEST(Generated, MultiplicationIsRight) {
  const auto number = [](auto first, auto last) {
    uint64_t value = 0;
    for (; first != last; ++first) value = 10 * value + (*first)[0] - '0';
    return value;
  };
  for (int64_t digits : {1, 4, 9}) {
    for (const std::string order : {"highest_first", "lowest_first"}) {
      for_samples("multiplication", {{"digits", digits}, {"answer", order}}, 30,
                  [&](const Words& input, const Words& answer) {
                    const auto begin = input.begin();
                    ASSERT_EQ(static_cast<int64_t>(answer.size()), 2 * digits);
                    ASSERT_EQ(input[digits], "*");
                    ASSERT_EQ(input[2 * digits + 1], "=");
                    const uint64_t expected =
                        number(begin, begin + digits) * number(begin + digits + 1, begin + 2 * digits + 1);
                    EXPECT_EQ(order == "highest_first" ? number(answer.begin(), answer.end())
                                                       : number(answer.rbegin(), answer.rend()),
                              expected);
                  });
    }
  }
}

TEST(Generated, DyckIsBalancedAndAsksForEveryClosingBracket) {
  const std::string open = "([{", close = ")]}";
  std::set<size_t> depths;
  for_samples("dyck", {{"kinds", 3}, {"length", 20}, {"depth", 4}}, 80, [&](Words row, const Words& answer) {
    ASSERT_EQ(row.size(), 19u);
    ASSERT_EQ(answer.size(), 10u);
    row.push_back(answer.back());
    std::vector<size_t> stack;
    Words closed;
    size_t deepest = 0;
    for (const std::string& bracket : row) {
      if (open.find(bracket) != std::string::npos) {
        stack.push_back(open.find(bracket));
        deepest = std::max(deepest, stack.size());
        continue;
      }
      ASSERT_FALSE(stack.empty());
      EXPECT_EQ(stack.back(), close.find(bracket));
      stack.pop_back();
      closed.push_back(bracket);
    }
    EXPECT_TRUE(stack.empty());
    EXPECT_EQ(closed, answer);
    depths.insert(deepest);
  });
  EXPECT_EQ(*depths.rbegin(), 4u);
}

TEST(Generated, ListOpsAgreesWithAStackMachine) {
  for_samples("listops", {{"min_length", 20}, {"max_length", 60}}, 60,
              [](const Words& input, const Words& answer) {
                EXPECT_GE(input.size(), 20u);
                EXPECT_LE(input.size(), 60u);
                EXPECT_EQ(answer, Words{std::to_string(evaluate(input))});
              });
}

TEST(Generated, AssociativeRecallReadsTheTable) {
  for_samples("associative_recall", {{"queries", 3}}, 50, [](const Words& input, const Words& answer) {
    ASSERT_EQ(input.size(), 8u * 2 + 1 + 3);
    std::map<std::string, std::string> table;
    for (size_t i = 0; i < 16; i += 2) table[input[i]] = input[i + 1];
    EXPECT_EQ(table.size(), 8u);
    Words expected;
    for (size_t i = 17; i < 20; ++i) expected.push_back(table.at(input[i]));
    EXPECT_EQ(answer, expected);
  });
}

TEST(Generated, SelectiveCopyingKeepsTheOrder) {
  const auto task = make_generated_task("selective_copying");
  EXPECT_EQ(task->vocab_size(), 9);
  std::vector<int> used(32);
  for (int index = 0; index < 200; ++index) {
    const GeneratedSample sample = task->sample(2, index);
    const Shown shown = show(*task, sample);
    ASSERT_EQ(shown.input.size(), 38u);
    Words expected;
    for (int t = 0; t < 32; ++t) {
      EXPECT_EQ(sample.loss_mask[t], 0);
      if (shown.input[t] == "_") continue;
      expected.push_back(shown.input[t]);
      ++used[t];
    }
    for (int t = 32; t < 38; ++t) EXPECT_EQ(shown.input[t], "?");
    EXPECT_EQ(expected.size(), 6u);
    EXPECT_EQ(shown.answer, expected);
  }
  for (int count : used) EXPECT_NEAR(count, 37.5, 25);
}

TEST(Generated, NamesWhatIsWrongWithOptions) {
  EXPECT_EQ(message_of("coppy", nullptr), "unknown generated task 'coppy'; did you mean 'copy'?");
  EXPECT_EQ(message_of("copy", {{"max_lenght", 3}}),
            "unknown option of task copy 'max_lenght'; did you mean 'max_length'?");
  EXPECT_EQ(message_of("dyck", {{"kinds", 0}}),
            "task dyck: option kinds: expected a whole number from 1 to 256, found 0");
  EXPECT_EQ(message_of("dyck", {{"kinds", 1.5}}),
            "task dyck: option kinds: expected a whole number from 1 to 256, found 1.5");
  EXPECT_NE(message_of("copy", {{"min_length", 9}}), "no error");
  EXPECT_NE(message_of("copy", 3), "no error");
  EXPECT_NE(message_of("modular_arithmetic", {{"operation", "ad"}}).find("did you mean 'add'"),
            std::string::npos);
  EXPECT_NE(message_of("associative_recall", {{"pairs", 17}}), "no error");
  const auto impossible =
      make_generated_task("listops", {{"min_length", 60}, {"max_length", 60}, {"depth", 1}});
  EXPECT_THROW(impossible->sample(0, 0), Error);
}

}  // namespace formwork
