#include <algorithm>
#include <optional>

#include "formwork/text/chat/evaluator.h"

namespace formwork::chat {
namespace {

using ExpressionKind = Expression::Kind;

}  // namespace

Value Evaluator::look_up(const std::string& name) const {
  for (size_t i = scopes_.size(); i-- > 0;)
    if (const auto found = scopes_[i].find(name); found != scopes_[i].end()) return found->second;
  return Value::undefined(name);
}

Value Evaluator::attribute(const Value& value, const std::string& name) const {
  if (value.is_undefined()) refuse(fmt::format("'{}' is undefined", value.name()));
  if (value.kind() == Value::Kind::space) {
    const auto found = value.space().find(name);
    return found == value.space().end() ? Value::undefined(name) : found->second;
  }
  if (has_method(value, name)) return Value::method(value, name);
  if (value.is_dictionary() && value.data().contains(name)) return value.part(value.data()[name]);
  return Value::undefined(name);
}

Value Evaluator::item(const Value& value, const Value& key) const {
  if (value.is_undefined()) refuse(fmt::format("'{}' is undefined", value.name()));
  if (key.is_string()) {
    if (value.is_dictionary() && value.data().contains(key.string()))
      return value.part(value.data()[key.string()]);
    return attribute(value, key.string());
  }
  const bool indexed = value.is_list() || value.is_string();
  if (!indexed || !key.is_whole()) return Value::undefined(to_text(key));
  const std::vector<Value> parts = value.is_string() ? elements(*this, value) : std::vector<Value>();
  const auto size = static_cast<int64_t>(value.is_string() ? parts.size() : value.data().size());
  int64_t index = key.whole();
  if (index < 0) index += size;
  if (index < 0 || index >= size) return Value::undefined(to_text(key));
  const auto at = static_cast<size_t>(index);
  return value.is_string() ? parts[at] : value.part(value.data()[at]);
}

Value Evaluator::slice(const Expression& expression) {
  const Value whole_value = compute(*expression.parts[0]);
  std::optional<int64_t> bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    if (!expression.parts[i + 1]) continue;
    const Value bound = compute(*expression.parts[i + 1]);
    if (bound.is_data() && bound.data().is_null()) continue;
    if (!bound.is_whole()) refuse("expected whole numbers in a slice, found " + type_name(bound));
    bounds[i] = bound.whole();
  }
  if (!whole_value.is_list() && !whole_value.is_string()) refuse("cannot slice " + type_name(whole_value));
  const std::vector<Value> parts = elements(*this, whole_value);
  const auto size = static_cast<int64_t>(parts.size());
  const int64_t stride = bounds[2].value_or(1);
  if (stride == 0) refuse("a slice with step 0");
  const auto clamped = [&](std::optional<int64_t> bound, int64_t otherwise) {
    if (!bound) return otherwise;
    const int64_t at = *bound < 0 ? *bound + size : *bound;
    return stride > 0 ? std::clamp<int64_t>(at, 0, size) : std::clamp<int64_t>(at, -1, size - 1);
  };
  const int64_t first = clamped(bounds[0], stride > 0 ? 0 : size - 1);
  const int64_t last = clamped(bounds[1], stride > 0 ? size : -1);
  Data list = Data::array();
  std::string text;
  for (int64_t at = first; stride > 0 ? at < last : at > last;) {
    const Value& part = parts[static_cast<size_t>(at)];
    if (whole_value.is_string())
      text += part.string();
    else
      list.push_back(part.data());
    if (stride > size || stride < -size) break;
    at += stride;
  }
  return whole_value.is_string() ? Value(Data(text)) : Value(std::move(list));
}

Value Evaluator::compute(const Expression& expression) {
  step();
  const auto& parts = expression.parts;
  const auto part = [&](size_t i) { return compute(*parts[i]); };
  switch (expression.kind) {
    case ExpressionKind::constant:
      return expression.value;
    case ExpressionKind::name:
      return look_up(expression.text);
    case ExpressionKind::list:
    case ExpressionKind::dictionary: {
      const bool is_list = expression.kind == ExpressionKind::list;
      Data made = is_list ? Data::array() : Data::object();
      for (size_t i = 0; i < parts.size(); i += is_list ? 1 : 2) {
        const Value value = part(is_list ? i : i + 1);
        const Data data = value.is_data() ? value.data() : Data();
        if (is_list)
          made.push_back(data);
        else
          made[to_text(part(i))] = data;
      }
      return Value(std::move(made));
    }
    case ExpressionKind::attribute:
      return attribute(part(0), expression.text);
    case ExpressionKind::item:
      return item(part(0), part(1));
    case ExpressionKind::slice:
      return slice(expression);
    case ExpressionKind::call:
      return call(expression);
    case ExpressionKind::filter: {
      const Arguments arguments = computed(expression.arguments);
      const Value value = part(0);
      line_ = expression.line;
      return apply_filter(expression.text, value, arguments);
    }
    case ExpressionKind::test:
      return Value(
          Data(apply_test(expression.text, part(0), computed(expression.arguments)) != expression.negated));
    case ExpressionKind::negation:
      return binary("-", Value(Data(0)), part(0));
    case ExpressionKind::logical_not:
      return Value(Data(!truth(part(0))));
    case ExpressionKind::logical_and:
    case ExpressionKind::logical_or: {
      Value left = part(0);
      return truth(left) == (expression.kind == ExpressionKind::logical_or) ? left : part(1);
    }
    case ExpressionKind::binary:
      return binary(expression.text, part(0), part(1));
    case ExpressionKind::compare: {
      Value left = part(0);
      for (size_t i = 0; i < expression.texts.size(); ++i) {
        Value right = part(i + 1);
        if (!compare(expression.texts[i], left, right)) return Value(Data(false));
        left = std::move(right);
      }
      return Value(Data(true));
    }
    case ExpressionKind::choice:
      if (truth(part(0))) return part(1);
      return parts[2] ? part(2) : Value();
  }
  return Value();
}

}  // namespace formwork::chat
