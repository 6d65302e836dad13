#include "formwork/text/chat/value.h"

#include <algorithm>
#include <cmath>

#include "formwork/core/error.h"

namespace formwork::chat {

Value Value::undefined(std::string name) {
  Value value;
  value.name_ = std::move(name);
  return value;
}

Value Value::make_space() {
  Value value;
  value.kind_ = Kind::space;
  value.space_ = std::make_shared<Space>();
  return value;
}

Value Value::macro(const Statement& statement) {
  Value value;
  value.kind_ = Kind::macro;
  value.macro_ = &statement;
  return value;
}

Value Value::function(std::string name) {
  Value value;
  value.kind_ = Kind::function;
  value.name_ = std::move(name);
  return value;
}

Value Value::method(Value self, std::string name) {
  Value value = function(std::move(name));
  value.self_ = std::make_shared<const Value>(std::move(self));
  return value;
}

bool truth(const Value& value) {
  if (value.is_undefined()) return false;
  if (!value.is_data()) return true;
  const Data& data = value.data();
  if (data.is_boolean()) return data.get<bool>();
  if (data.is_number()) return data.get<double>() != 0;
  if (data.is_string()) return !value.string().empty();
  return !data.is_null() && !data.empty();
}

bool equal(const Value& a, const Value& b) {
  if (a.is_undefined() || b.is_undefined()) return a.is_undefined() && b.is_undefined();
  if (!a.is_data() || !b.is_data()) return false;
  if (a.is_number() && b.is_number()) {
    const auto number = [](const Data& data) {
      return data.is_boolean() ? static_cast<double>(data.get<bool>()) : data.get<double>();
    };
    return number(a.data()) == number(b.data());
  }
  if (!a.is_dictionary() || !b.is_dictionary()) return a.data() == b.data();
  return nlohmann::json(a.data()) == nlohmann::json(b.data());  // the order of keys does not count
}

std::string type_name(const Value& value) {
  switch (value.kind()) {
    case Value::Kind::undefined:
      return "an undefined value";
    case Value::Kind::space:
      return "a namespace";
    case Value::Kind::macro:
      return "a macro";
    case Value::Kind::function:
      return "a function";
    case Value::Kind::data:
      break;
  }
  const Data& data = value.data();
  if (data.is_null()) return "none";
  if (data.is_boolean()) return "a boolean";
  if (data.is_number()) return "a number";
  if (data.is_string()) return "a text";
  return data.is_array() ? "a list" : "a dictionary";
}

namespace {

std::string real_text(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  std::string text = fmt::format("{}", value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string quoted(const std::string& text) {
  const char quote = text.find('\'') != std::string::npos && text.find('"') == std::string::npos ? '"' : '\'';
  std::string result(1, quote);
  for (const char c : text) {
    if (c == '\n')
      result += "\\n";
    else if (c == '\t')
      result += "\\t";
    else if (c == '\r')
      result += "\\r";
    else if (c == '\\' || c == quote)
      result.append("\\").append(1, c);
    else if (static_cast<uint8_t>(c) < 0x20 || c == 0x7F)
      result += fmt::format("\\x{:02x}", static_cast<uint8_t>(c));
    else
      result += c;
  }
  return result + quote;
}

}  // namespace

std::string to_repr(const Data& data) {
  if (data.is_null()) return "None";
  if (data.is_boolean()) return data.get<bool>() ? "True" : "False";
  if (data.is_number_float()) return real_text(data.get<double>());
  if (data.is_string()) return quoted(data.get_ref<const std::string&>());
  if (!data.is_structured()) return data.dump();
  std::string text = data.is_array() ? "[" : "{";
  bool first = true;
  for (const auto& [key, element] : data.items()) {
    if (!first) text += ", ";
    first = false;
    if (data.is_object()) text += quoted(key) + ": ";
    text += to_repr(element);
  }
  return text + (data.is_array() ? "]" : "}");
}

std::string to_text(const Value& value) {
  if (value.is_undefined()) return "";
  if (!value.is_data()) return "<" + type_name(value) + ">";
  return value.is_string() ? value.string() : to_repr(value.data());
}

std::string to_json_text(const Data& data, int indent, bool ascii, bool sort_keys, int depth) {
  if (data.is_number_float()) return real_text(data.get<double>());
  if (!data.is_structured()) return data.dump(-1, ' ', ascii, Data::error_handler_t::replace);
  if (data.empty()) return data.is_array() ? "[]" : "{}";
  const auto new_line = [&](int level) {
    return indent < 0 ? std::string()
                      : "\n" + std::string(static_cast<size_t>(indent) * static_cast<size_t>(level), ' ');
  };
  std::vector<std::pair<std::string, const Data*>> elements;
  for (const auto& [key, element] : data.items()) elements.emplace_back(key, &element);
  if (sort_keys && data.is_object())
    std::sort(elements.begin(), elements.end(),
              [](const auto& a, const auto& b) { return a.first < b.first; });
  std::string text = data.is_array() ? "[" : "{";
  for (size_t i = 0; i < elements.size(); ++i) {
    if (i > 0) text += indent < 0 ? ", " : ",";
    text += new_line(depth + 1);
    if (data.is_object())
      text += Data(elements[i].first).dump(-1, ' ', ascii, Data::error_handler_t::replace) + ": ";
    text += to_json_text(*elements[i].second, indent, ascii, sort_keys, depth + 1);
  }
  return text + new_line(depth) + (data.is_array() ? "]" : "}");
}

}  // namespace formwork::chat
