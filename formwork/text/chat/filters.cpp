// Filters of chat templates: {{ value | name(arguments) }}.
#include <algorithm>
#include <cmath>
#include <functional>

#include "formwork/core/error.h"
#include "formwork/text/chat/evaluator.h"
#include "formwork/text/chat/text_operations.h"

namespace formwork::chat {
namespace {

using Filter = std::function<Value(Evaluator&, const Value&, const Arguments&)>;

Value list_of(const std::vector<Value>& values) {
  Data list = Data::array();
  for (const Value& value : values) list.push_back(value.is_data() ? value.data() : Data());
  return Value(std::move(list));
}

Value length_of(Evaluator& evaluator, const Value& value, const Arguments&) {
  if (value.is_undefined()) return Value(Data(0));
  if (value.kind() == Value::Kind::space) return Value(Data(value.space().size()));
  if (value.is_dictionary() || value.is_list()) return Value(Data(value.data().size()));
  if (!value.is_string()) evaluator.refuse("expected something with a length, found " + type_name(value));
  return Value(Data(characters(value.string()).size()));
}

Value to_json_filter(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  if (!value.is_data()) evaluator.refuse("cannot write " + type_name(value) + " as JSON");
  const Value* indent = arguments.find(1, "indent");
  const bool indented = indent && indent->is_number();
  const int64_t width = indented ? std::clamp<int64_t>(indent->data().get<int64_t>(), 0, 16) : -1;
  return text_value(to_json_text(value.data(), static_cast<int>(width), arguments.flag(0, "ensure_ascii"),
                                 arguments.flag(3, "sort_keys")));
}

Value join(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const std::string between = arguments.text(0, "d", "");
  const Value* attribute = arguments.find(1, "attribute");
  std::string text;
  bool first = true;
  for (const Value& element : elements(evaluator, value)) {
    if (!first) text += between;
    first = false;
    const bool has = attribute && attribute->is_string() && element.is_dictionary();
    text += has && element.data().contains(attribute->string())
                ? to_text(element.part(element.data()[attribute->string()]))
                : to_text(element);
  }
  return text_value(text);
}

Value end_of(Evaluator& evaluator, const Value& value, bool last) {
  const auto parts = elements(evaluator, value);
  return parts.empty() ? Value::undefined(last ? "last" : "first") : last ? parts.back() : parts.front();
}

Value field_of(const Value& element, const std::string& name) {
  Value value = element;
  for (size_t at = 0; at <= name.size();) {
    const size_t dot = std::min(name.find('.', at), name.size());
    const std::string key = name.substr(at, dot - at);
    if (!value.is_dictionary() || !value.data().contains(key)) return Value::undefined(name);
    value = value.part(value.data()[key]);
    at = dot + 1;
  }
  return value;
}

Value map(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  std::vector<Value> result;
  const std::string attribute = arguments.text(99, "attribute", "");
  const std::string filter = arguments.text(0, "", "");
  Arguments rest;
  if (!arguments.positional.empty())
    rest.positional.assign(arguments.positional.begin() + 1, arguments.positional.end());
  for (const Value& element : elements(evaluator, value))
    result.push_back(attribute.empty() ? evaluator.apply_filter(filter, element, rest)
                                       : field_of(element, attribute));
  return list_of(result);
}

// select, reject, selectattr, rejectattr
Value choose(Evaluator& evaluator, const Value& value, const Arguments& arguments, bool by_attribute,
             bool keep) {
  std::vector<Value> result;
  const size_t test_place = by_attribute ? 1 : 0;
  const std::string attribute = by_attribute ? arguments.text(0, "", "") : "";
  const std::string test = arguments.text(test_place, "", "");
  Arguments rest;
  for (size_t i = test_place + 1; i < arguments.positional.size(); ++i)
    rest.positional.push_back(arguments.positional[i]);
  for (const Value& element : elements(evaluator, value)) {
    const Value tested = by_attribute ? field_of(element, attribute) : element;
    const bool is = test.empty() ? truth(tested) : evaluator.apply_test(test, tested, rest);
    if (is == keep) result.push_back(element);
  }
  return list_of(result);
}

Value pairs_of(Evaluator& evaluator, const Value& value, bool sorted) {
  if (value.is_undefined()) return Value(Data::array());
  if (!value.is_dictionary()) evaluator.refuse("expected a dictionary, found " + type_name(value));
  std::vector<std::pair<std::string, Data>> pairs;
  for (const auto& [key, element] : value.data().items()) pairs.emplace_back(key, element);
  if (sorted)
    std::stable_sort(pairs.begin(), pairs.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
  Data list = Data::array();
  for (auto& [key, element] : pairs) list.push_back(Data::array({key, element}));
  return Value(std::move(list));
}

Value indent(Evaluator&, const Value& value, const Arguments& arguments) {
  const std::string space(static_cast<size_t>(std::clamp<int64_t>(arguments.number(0, "width", 4), 0, 100)),
                          ' ');
  const bool first = arguments.flag(1, "first"), blank = arguments.flag(2, "blank");
  const std::string text = to_text(value);
  std::string result;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    if ((at > 0 || first) && (end > at || blank || at == 0)) result += space;
    result.append(text, at, end - at);
    if (end < text.size()) result += '\n';
    at = end + 1;
  }
  return text_value(result);
}

Value sorted(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  std::vector<Value> values = elements(evaluator, value);
  const std::string attribute = arguments.text(2, "attribute", "");
  const auto key = [&](const Value& element) {
    return attribute.empty() ? element : field_of(element, attribute);
  };
  std::stable_sort(values.begin(), values.end(), [&](const Value& a, const Value& b) {
    const Value left = key(a), right = key(b);
    if (left.is_string() && right.is_string())
      return in_letters(left.string(), Letters::lower) < in_letters(right.string(), Letters::lower);
    if (left.is_number() && right.is_number()) return left.data().get<double>() < right.data().get<double>();
    evaluator.refuse("cannot sort " + type_name(left) + " and " + type_name(right));
  });
  if (arguments.flag(0, "reverse")) std::reverse(values.begin(), values.end());
  return list_of(values);
}

Value as_integer(Evaluator&, const Value& value, const Arguments& arguments) {
  const int64_t otherwise = arguments.number(0, "default", 0);
  if (value.is_number())
    return Value(Data(static_cast<int64_t>(std::clamp(value.data().is_boolean()
                                                          ? static_cast<double>(value.data().get<bool>())
                                                          : value.data().get<double>(),
                                                      -9e18, 9e18))));
  if (!value.is_string()) return Value(Data(otherwise));
  const std::string text = stripped(value.string(), "", true, true);
  char* end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  const bool good = !text.empty() && *end == '\0' && std::fabs(number) < 9e18;
  return Value(Data(good ? static_cast<int64_t>(number) : otherwise));
}

Value as_real(Evaluator&, const Value& value, const Arguments&) {
  if (value.is_number())
    return Value(Data(value.data().is_boolean() ? static_cast<double>(value.data().get<bool>())
                                                : value.data().get<double>()));
  return Value(Data(value.is_string() ? std::strtod(value.string().c_str(), nullptr) : 0.0));
}

Filter of_text(std::function<std::string(const std::string&)> change) {
  return [change](Evaluator&, const Value& value, const Arguments&) {
    return text_value(change(to_text(value)));
  };
}

const std::map<std::string, Filter>& filters() {
  const auto same = [](Evaluator&, const Value& value, const Arguments&) { return value; };
  const auto with_default = [](Evaluator&, const Value& value, const Arguments& arguments) {
    const bool missing = value.is_undefined() || (arguments.flag(1, "boolean") && !truth(value));
    const Value* other = arguments.find(0, "default_value");
    return !missing ? value : other ? *other : text_value("");
  };
  static const std::map<std::string, Filter> table = {
      {"trim",
       [](Evaluator&, const Value& value, const Arguments& arguments) {
         return text_value(stripped(to_text(value), arguments.text(0, "chars", ""), true, true));
       }},
      {"tojson", to_json_filter},
      {"length", length_of},
      {"count", length_of},
      {"upper", of_text([](const std::string& text) { return in_letters(text, Letters::upper); })},
      {"lower", of_text([](const std::string& text) { return in_letters(text, Letters::lower); })},
      {"title", of_text([](const std::string& text) { return in_letters(text, Letters::title); })},
      {"capitalize", of_text([](const std::string& text) { return in_letters(text, Letters::capital); })},
      {"string", of_text([](const std::string& text) { return text; })},
      {"safe", same},
      {"replace",
       [](Evaluator&, const Value& value, const Arguments& arguments) {
         return text_value(replaced(to_text(value), arguments.text(0, "old", ""),
                                    arguments.text(1, "new", ""), arguments.number(2, "count", -1)));
       }},
      {"join", join},
      {"first", [](Evaluator& e, const Value& value, const Arguments&) { return end_of(e, value, false); }},
      {"last", [](Evaluator& e, const Value& value, const Arguments&) { return end_of(e, value, true); }},
      {"list",
       [](Evaluator& e, const Value& value, const Arguments&) { return list_of(elements(e, value)); }},
      {"reverse",
       [](Evaluator& e, const Value& value, const Arguments&) {
         auto values = elements(e, value);
         std::reverse(values.begin(), values.end());
         if (!value.is_string()) return list_of(values);
         std::string text;
         for (const Value& part : values) text += part.string();
         return text_value(text);
       }},
      {"default", with_default},
      {"d", with_default},
      {"int", as_integer},
      {"float", as_real},
      {"abs",
       [](Evaluator& e, const Value& value, const Arguments&) {
         if (!value.is_number()) e.refuse("expected a number, found " + type_name(value));
         return value.data().get<double>() < 0
                    ? Value(value.data().is_number_integer() ? Data(-value.data().get<int64_t>())
                                                             : Data(-value.data().get<double>()))
                    : value;
       }},
      {"items", [](Evaluator& e, const Value& value, const Arguments&) { return pairs_of(e, value, false); }},
      {"dictsort",
       [](Evaluator& e, const Value& value, const Arguments&) { return pairs_of(e, value, true); }},
      {"map", map},
      {"select",
       [](Evaluator& e, const Value& v, const Arguments& a) { return choose(e, v, a, false, true); }},
      {"reject",
       [](Evaluator& e, const Value& v, const Arguments& a) { return choose(e, v, a, false, false); }},
      {"selectattr",
       [](Evaluator& e, const Value& v, const Arguments& a) { return choose(e, v, a, true, true); }},
      {"rejectattr",
       [](Evaluator& e, const Value& v, const Arguments& a) { return choose(e, v, a, true, false); }},
      {"indent", indent},
      {"sort", sorted},
      {"unique",
       [](Evaluator& e, const Value& value, const Arguments&) {
         std::vector<Value> kept;
         for (const Value& part : elements(e, value))
           if (std::none_of(kept.begin(), kept.end(), [&](const Value& other) { return equal(other, part); }))
             kept.push_back(part);
         return list_of(kept);
       }},
  };
  return table;
}

}  // namespace

Value Evaluator::apply_filter(const std::string& name, const Value& value, const Arguments& arguments) {
  const auto found = filters().find(name);
  if (found != filters().end()) return found->second(*this, value, arguments);
  std::vector<std::string> names;
  for (const auto& [known, filter] : filters()) names.push_back(known);
  const std::string near = nearest(name, names);
  refuse(fmt::format("unknown filter '{}'{}", name,
                     near.empty() ? "" : fmt::format("; did you mean '{}'?", near)));
}

}  // namespace formwork::chat
