// Tests of chat templates: {{ value is name(arguments) }}.
#include <functional>

#include "formwork/text/chat/evaluator.h"

namespace formwork::chat {
namespace {

using Test = std::function<bool(const Evaluator&, const Value&, const Arguments&)>;

int64_t remainder(const Evaluator& evaluator, const Value& value, int64_t by) {
  if (!value.is_data() || !value.data().is_number_integer() || by == 0)
    evaluator.refuse("expected a whole number");
  return std::abs(value.data().get<int64_t>() % by);
}

Test of_data(std::function<bool(const Data&)> holds) {
  return [holds](const Evaluator&, const Value& value, const Arguments&) {
    return value.is_data() && holds(value.data());
  };
}

Test of_value(std::function<bool(const Value&)> holds) {
  return [holds](const Evaluator&, const Value& value, const Arguments&) { return holds(value); };
}

// The operator `sign` between the value and the one argument.
Test of_sign(const char* sign) {
  return [sign](const Evaluator& evaluator, const Value& value, const Arguments& arguments) {
    const Value* other = arguments.find(0, "");
    if (!other) evaluator.refuse(fmt::format("expected a value to compare with by '{}'", sign));
    return evaluator.compare(sign, value, *other);
  };
}

const std::map<std::string, Test>& tests() {
  static const std::map<std::string, Test> table = {
      {"defined", of_value([](const Value& v) { return !v.is_undefined(); })},
      {"undefined", of_value([](const Value& v) { return v.is_undefined(); })},
      {"none", of_data([](const Data& d) { return d.is_null(); })},
      {"string", of_value([](const Value& v) { return v.is_string(); })},
      {"number", of_value([](const Value& v) { return v.is_number(); })},
      {"integer", of_data([](const Data& d) { return d.is_number_integer(); })},
      {"float", of_data([](const Data& d) { return d.is_number_float(); })},
      {"boolean", of_data([](const Data& d) { return d.is_boolean(); })},
      {"true", of_data([](const Data& d) { return d == true; })},
      {"false", of_data([](const Data& d) { return d == false; })},
      {"mapping", of_value([](const Value& v) { return v.is_dictionary(); })},
      {"sequence",
       of_value([](const Value& v) { return v.is_list() || v.is_string() || v.is_dictionary(); })},
      {"iterable", of_value([](const Value& v) {
         return v.is_list() || v.is_string() || v.is_dictionary() || v.is_undefined();
       })},
      {"callable", of_value([](const Value& v) {
         return v.kind() == Value::Kind::macro || v.kind() == Value::Kind::function;
       })},
      {"odd", [](const Evaluator& e, const Value& v, const Arguments&) { return remainder(e, v, 2) == 1; }},
      {"even", [](const Evaluator& e, const Value& v, const Arguments&) { return remainder(e, v, 2) == 0; }},
      {"divisibleby", [](const Evaluator& e, const Value& v,
                         const Arguments& a) { return remainder(e, v, a.number(0, "num", 0)) == 0; }},
      {"equalto", of_sign("==")},
      {"eq", of_sign("==")},
      {"ne", of_sign("!=")},
      {"lt", of_sign("<")},
      {"le", of_sign("<=")},
      {"gt", of_sign(">")},
      {"ge", of_sign(">=")},
      {"in", of_sign("in")},
  };
  return table;
}

}  // namespace

bool Evaluator::apply_test(const std::string& name, const Value& value, const Arguments& arguments) {
  const auto found = tests().find(name);
  if (found == tests().end()) refuse(fmt::format("unknown test '{}'", name));
  return found->second(*this, value, arguments);
}

}  // namespace formwork::chat
