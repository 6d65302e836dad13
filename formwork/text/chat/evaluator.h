// Runs a parsed chat template.
#pragma once
#include <string>
#include <vector>

#include "formwork/text/chat/syntax.h"

namespace formwork::chat {

constexpr size_t most_output = 64 << 20;  // bytes of text that a template may make

// Arguments of a call, already computed.
struct Arguments {
  std::vector<Value> positional;
  std::map<std::string, Value> named;

  // The argument at a place or of a name; nothing when absent.
  const Value* find(size_t place, const std::string& name) const;
  // Its value; `otherwise` where it is absent or of another type.
  std::string text(size_t place, const char* name, const std::string& otherwise) const;
  int64_t number(size_t place, const char* name, int64_t otherwise) const;
  bool flag(size_t place, const char* name) const;
};

class Evaluator {
 public:
  explicit Evaluator(const Data& variables);
  std::string run(const Template& parsed);

  // Used by filters that apply other filters or tests.
  Value apply_filter(const std::string& name, const Value& value, const Arguments& arguments);
  bool apply_test(const std::string& name, const Value& value, const Arguments& arguments);
  bool compare(const std::string& sign, const Value& left, const Value& right) const;
  [[noreturn]] void refuse(const std::string& what) const;

 private:
  enum class Flow { on, leave, again };
  Flow run(const std::vector<Statement>& body);
  Flow run(const Statement& statement);
  Flow loop(const Statement& statement);
  void set(const Statement& statement, const Value& value);
  void bind(const std::vector<std::string>& names, const Value& value);
  void print(const Value& value);
  std::string captured(const std::vector<Statement>& body);

  Value compute(const Expression& expression);
  Value look_up(const std::string& name) const;
  Value attribute(const Value& value, const std::string& name) const;
  Value item(const Value& value, const Value& key) const;
  Value slice(const Expression& expression);
  Value call(const Expression& expression);
  Value call_macro(const Statement& macro, const Arguments& arguments);
  Value call_function(const std::string& name, const Arguments& arguments);
  Value binary(const std::string& sign, const Value& left, const Value& right);
  bool contains(const Value& whole, const Value& part) const;
  Arguments computed(const std::vector<Argument>& arguments);
  void step();

  std::vector<Value::Space> scopes_;
  std::string output_;
  int line_ = 1, depth_ = 0;
  int64_t steps_ = 0;
};

// Methods of texts and dictionaries; those that has_method knows.
Value call_method(const Evaluator& evaluator, const Value& self, const std::string& name,
                  const Arguments& arguments);
bool has_method(const Value& self, const std::string& name);

// The elements that a loop visits: of a list, keys of a dictionary, characters of a text.
std::vector<Value> elements(const Evaluator& evaluator, const Value& value);

}  // namespace formwork::chat
