#include <algorithm>
#include <cmath>

#include "formwork/text/chat/evaluator.h"

namespace formwork::chat {
namespace {

double number(const Value& value) {
  const Data& data = value.data();
  return data.is_boolean() ? static_cast<double>(data.get<bool>()) : data.get<double>();
}

}  // namespace

Value Evaluator::binary(const std::string& sign, const Value& left, const Value& right) {
  if (sign == "~") {
    std::string text = to_text(left) + to_text(right);
    if (text.size() > most_output) refuse("a text grows too long");
    return Value(Data(std::move(text)));
  }
  for (const Value* side : {&left, &right})
    if (side->is_undefined()) refuse(fmt::format("'{}' is undefined", side->name()));
  if (sign == "+" && left.is_string() && right.is_string()) {
    if (left.string().size() + right.string().size() > most_output) refuse("a text grows too long");
    return Value(Data(left.string() + right.string()));
  }
  if (sign == "+" && left.is_list() && right.is_list()) {
    Data list = left.data();
    if (list.size() + right.data().size() > 1'000'000) refuse("a list grows too long");
    for (const Data& element : right.data()) list.push_back(element);
    return Value(std::move(list));
  }
  if (sign == "*" && left.is_string() && right.is_whole()) {
    const int64_t times = std::max<int64_t>(right.whole(), 0);
    if (times > 0 && left.string().size() > most_output / static_cast<size_t>(times))
      refuse("a text grows too long");
    std::string text;
    for (int64_t i = 0; i < times && !left.string().empty(); ++i) text += left.string();
    return Value(Data(std::move(text)));
  }
  if (!left.is_number() || !right.is_number())
    refuse(fmt::format("cannot compute {} {} {}", type_name(left), sign, type_name(right)));
  const bool division = sign == "/" || sign == "//" || sign == "%";
  if (division && number(right) == 0) refuse("division by zero");
  if (!left.is_whole() || !right.is_whole() || sign == "/" || sign == "**") {
    const double a = number(left), b = number(right);
    double value = sign == "+" ? a + b : sign == "-" ? a - b : sign == "*" ? a * b : sign == "/" ? a / b : 0;
    if (sign == "//") value = std::floor(a / b);
    if (sign == "%") value = a - b * std::floor(a / b);
    if (sign == "**") value = std::pow(a, b);
    const bool exact =
        sign == "**" && left.is_whole() && right.is_whole() && b >= 0 && std::fabs(value) < 9e15;
    return exact ? Value(Data(static_cast<int64_t>(value))) : Value(Data(value));
  }
  const int64_t a = left.whole(), b = right.whole();
  int64_t value = 0;
  const bool overflow = sign == "+"   ? __builtin_add_overflow(a, b, &value)
                        : sign == "-" ? __builtin_sub_overflow(a, b, &value)
                        : sign == "*" ? __builtin_mul_overflow(a, b, &value)
                                      : b == -1 && __builtin_sub_overflow(int64_t{0}, a, &value);
  if (overflow) refuse("a number grows too large");
  if (division && b != -1) {
    const int64_t quotient = a / b - ((a % b != 0) && ((a < 0) != (b < 0)));
    value = sign == "//" ? quotient : a - b * quotient;
  } else if (sign == "%") {
    value = 0;
  }
  return Value(Data(value));
}

bool Evaluator::contains(const Value& whole_value, const Value& part) const {
  if (whole_value.is_string()) {
    if (!part.is_string()) refuse("expected a text before 'in', found " + type_name(part));
    return whole_value.string().find(part.string()) != std::string::npos;
  }
  if (whole_value.is_dictionary()) return part.is_string() && whole_value.data().contains(part.string());
  if (whole_value.kind() == Value::Kind::space)
    return part.is_string() && whole_value.space().count(part.string()) > 0;
  for (const Value& element : elements(*this, whole_value))
    if (equal(element, part)) return true;
  return false;
}

bool Evaluator::compare(const std::string& sign, const Value& left, const Value& right) const {
  if (sign == "==") return equal(left, right);
  if (sign == "!=") return !equal(left, right);
  if (sign == "in") return contains(right, left);
  if (sign == "not in") return !contains(right, left);
  int order = 0;
  if (left.is_number() && right.is_number()) {
    const double a = number(left), b = number(right);
    order = a < b ? -1 : a > b;
  } else if (left.is_string() && right.is_string()) {
    order = left.string().compare(right.string());
  } else {
    refuse(fmt::format("cannot compare {} {} {}", type_name(left), sign, type_name(right)));
  }
  return sign == "<" ? order < 0 : sign == "<=" ? order <= 0 : sign == ">" ? order > 0 : order >= 0;
}

}  // namespace formwork::chat
