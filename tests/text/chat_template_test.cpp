#include "formwork/text/chat/chat_template.h"

#include <gtest/gtest.h>

#include <random>

#include "formwork/core/error.h"

namespace formwork {
namespace {

using Json = nlohmann::ordered_json;

std::string render(const std::string& source, const Json& variables = Json::object()) {
  return ChatTemplate(source).render(variables);
}

std::string message(const std::string& source, const Json& variables = Json::object()) {
  try {
    render(source, variables);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// The template of SmolLM2, in other words.
const char* const chatml =
    R"({% for m in messages %}{% if loop.first and m['role'] != 'system' %}{{ '<|im_start|>system
Be brief.<|im_end|>
' }}{% endif %}{{ '<|im_start|>' + m['role'] + '
' + m.content + '<|im_end|>
' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %})";

}  // namespace

TEST(ChatTemplate, WritesAConversation) {
  const Json conversation = {{"messages", {{{"role", "user"}, {"content", "Hi {{ x }}"}}}},
                             {"add_generation_prompt", true}};
  EXPECT_EQ(render(chatml, conversation),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi {{ x "
            "}}<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, RemovesWhiteSpaceAroundBlocks) {
  EXPECT_EQ(render("a\n  {% if true %}\nb\n  {% endif %}\nc"), "a\nb\nc");
  EXPECT_EQ(render("a\n  {%- if true -%}\n b {%- endif %}  c\n"), "ab  c");
  EXPECT_EQ(render("  {{ 1 }}\n{# note #}\n {{- 2 }}"), "  1\n2");
  EXPECT_EQ(render("  {%+ if true +%}\nx{% endif %}"), "  \nx");
}

TEST(ChatTemplate, KeepsWhatALoopSetsInside) {
  EXPECT_EQ(render("{% set a = 1 %}{% for x in [1, 2] %}{% set a = x %}{{ a }}{% endfor %}{{ a }}"), "121");
  EXPECT_EQ(
      render("{% set n = namespace(a=0) %}{% for x in [1, 2] %}{% set n.a = n.a + x %}{% endfor %}{{ n.a }}"),
      "3");
}

TEST(ChatTemplate, SaysWhatIsWrongAndWhere) {
  EXPECT_EQ(message("a\n{% if x %}"), "chat template, line 2: expected endif, found the end");
  EXPECT_EQ(message("{{ x.y }}"), "chat template, line 1: 'x' is undefined");
  EXPECT_EQ(message("{{ 1 | tojsn }}"),
            "chat template, line 1: unknown filter 'tojsn'; did you mean 'tojson'?");
  EXPECT_EQ(message("{{ raise_exception('no roles') }}"), "the chat template refuses: no roles");
  EXPECT_EQ(
      message("{% include 'x' %}"),
      "chat template, line 1: expected if, for, set, macro, break, continue or generation, found 'include'");
  for (const char* bad :
       {"{{", "{{ 'a }}", "{% for %}", "{{ 1 + }}", "{{ [1 }}", "{# open", "{{ ''.__class__() }}",
        "{{ 1 / 0 }}", "{{ 'a' + 1 }}", "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{{ range(10 ** 9) }}", "{{ 9223372036854775807 + 1 }}",
        "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"})
    EXPECT_NE(message(bad), "") << bad;
}

TEST(ChatTemplate, NeitherNestsNorGrowsWithoutBound) {
  EXPECT_NE(message("{{ " + std::string(100000, '(') + " }}"), "");
  EXPECT_NE(message("{{ " + std::string(100000, '-') + "1 }}"), "");
  std::string sum = "{{ 1";
  for (int i = 0; i < 50000; ++i) sum += "+1";
  EXPECT_NE(message(sum + " }}"), "");
  std::string blocks;
  for (int i = 0; i < 5000; ++i) blocks += "{% if 1 %}";
  EXPECT_NE(message(blocks), "");
  EXPECT_NE(
      message("{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}"),
      "");
}

TEST(ChatTemplate, SurvivesDamage) {
  std::mt19937 random(3);
  const Json conversation = {{"messages", {{{"role", "user"}, {"content", "Hi"}}}}};
  for (int trial = 0; trial < 500; ++trial) {
    std::string bad = chatml;
    for (int change = 0; change < 4; ++change)
      bad[random() % bad.size()] = "{}%'[]()+-|.,= \xFF"[random() % 16];
    message(bad, conversation);
  }
}

}  // namespace formwork
