// Filters, tests and methods of chat templates.
#include <algorithm>
#include <cmath>
#include <functional>

#include "formwork/core/error.h"
#include "formwork/text/chat_template_evaluator.h"
#include "formwork/text/unicode_classes.h"

namespace formwork::chat {
namespace {

using Filter = std::function<Value(Evaluator&, const Value&, const Arguments&)>;

Value text_value(std::string text) { return Value(Data(std::move(text))); }

std::string argument_text(const Arguments& arguments, size_t place, const char* name,
                          const std::string& otherwise) {
  const Value* found = arguments.find(place, name);
  return found && found->is_string() ? found->string() : otherwise;
}

int64_t argument_number(const Arguments& arguments, size_t place, const char* name, int64_t otherwise) {
  const Value* found = arguments.find(place, name);
  return found && found->is_number() ? found->data().get<int64_t>() : otherwise;
}

bool argument_flag(const Arguments& arguments, size_t place, const char* name) {
  const Value* found = arguments.find(place, name);
  return found && truth(*found);
}

enum class Letters { upper, lower, title, capital };

// ASCII letters change in either direction; others only to lower case.
std::string in_letters(const std::string& text, Letters letters) {
  std::string result;
  bool start = true;
  for (const std::string& character : characters(text)) {
    const char c = character[0];
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool up = letters == Letters::upper || (letters != Letters::lower && start);
    if (letter)
      result += static_cast<char>(up ? c & ~32 : c | 32);
    else if (character.size() > 1 && !up)
      append_lower(result, next_code_point(character, 0).code);
    else
      result += character;
    start = letters == Letters::title ? !letter : false;
  }
  return result;
}

std::string replaced(const std::string& text, const std::string& from, const std::string& to, int64_t most) {
  if (from.empty()) return text;
  std::string result;
  size_t done = 0;
  for (size_t at = text.find(from); at != std::string::npos && most != 0;
       at = text.find(from, done), --most) {
    result.append(text, done, at - done).append(to);
    done = at + from.size();
  }
  return result.append(text, done);
}

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
  return text_value(to_json_text(value.data(), static_cast<int>(width),
                                 argument_flag(arguments, 0, "ensure_ascii"),
                                 argument_flag(arguments, 3, "sort_keys")));
}

Value join(Evaluator& evaluator, const Value& value, const Arguments& arguments) {
  const std::string between = argument_text(arguments, 0, "d", "");
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
  const std::string attribute = argument_text(arguments, 99, "attribute", "");
  const std::string filter = argument_text(arguments, 0, "", "");
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
  const std::string attribute = by_attribute ? argument_text(arguments, 0, "", "") : "";
  const std::string test = argument_text(arguments, test_place, "", "");
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
  const std::string space(
      static_cast<size_t>(std::clamp<int64_t>(argument_number(arguments, 0, "width", 4), 0, 100)), ' ');
  const bool first = argument_flag(arguments, 1, "first"), blank = argument_flag(arguments, 2, "blank");
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
  const std::string attribute = argument_text(arguments, 2, "attribute", "");
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
  if (argument_flag(arguments, 0, "reverse")) std::reverse(values.begin(), values.end());
  return list_of(values);
}

Value as_integer(Evaluator&, const Value& value, const Arguments& arguments) {
  const int64_t otherwise = argument_number(arguments, 0, "default", 0);
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
    const bool missing = value.is_undefined() || (argument_flag(arguments, 1, "boolean") && !truth(value));
    const Value* other = arguments.find(0, "default_value");
    return !missing ? value : other ? *other : text_value("");
  };
  static const std::map<std::string, Filter> table = {
      {"trim",
       [](Evaluator&, const Value& value, const Arguments& arguments) {
         return text_value(stripped(to_text(value), argument_text(arguments, 0, "chars", ""), true, true));
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
         return text_value(replaced(to_text(value), argument_text(arguments, 0, "old", ""),
                                    argument_text(arguments, 1, "new", ""),
                                    argument_number(arguments, 2, "count", -1)));
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

bool Evaluator::apply_test(const std::string& name, const Value& value, const Arguments& arguments) {
  const Value* other = arguments.find(0, "");
  const auto data_is = [&](auto&& test) { return value.is_data() && test(value.data()); };
  const auto remainder = [&](int64_t by) {
    if (!data_is([](const Data& d) { return d.is_number_integer(); }) || by == 0)
      refuse("expected a whole number");
    const int64_t left = value.data().get<int64_t>() % by;
    return left < 0 ? -left : left;
  };
  if (name == "defined") return !value.is_undefined();
  if (name == "undefined") return value.is_undefined();
  if (name == "none") return data_is([](const Data& d) { return d.is_null(); });
  if (name == "string") return value.is_string();
  if (name == "number") return value.is_number();
  if (name == "integer") return data_is([](const Data& d) { return d.is_number_integer(); });
  if (name == "float") return data_is([](const Data& d) { return d.is_number_float(); });
  if (name == "boolean") return data_is([](const Data& d) { return d.is_boolean(); });
  if (name == "true") return data_is([](const Data& d) { return d == true; });
  if (name == "false") return data_is([](const Data& d) { return d == false; });
  if (name == "mapping") return value.is_dictionary();
  if (name == "sequence" || name == "iterable")
    return value.is_list() || value.is_string() || value.is_dictionary() ||
           (name == "iterable" && value.is_undefined());
  if (name == "callable") return value.kind() == Value::Kind::macro || value.kind() == Value::Kind::function;
  if (name == "odd") return remainder(2) == 1;
  if (name == "even") return remainder(2) == 0;
  if (name == "divisibleby") return remainder(argument_number(arguments, 0, "num", 0)) == 0;
  const std::map<std::string, std::string> signs = {{"equalto", "=="}, {"eq", "=="}, {"ne", "!="},
                                                    {"lt", "<"},       {"le", "<="}, {"gt", ">"},
                                                    {"ge", ">="},      {"in", "in"}};
  const auto sign = signs.find(name);
  if (sign == signs.end() || !other) refuse(fmt::format("unknown test '{}'", name));
  return compare(sign->second, value, *other);
}

std::vector<std::string> characters(const std::string& text) {
  std::vector<std::string> result;
  for (size_t at = 0; at < text.size();) {
    const auto bytes = static_cast<size_t>(next_code_point(text, at).bytes);
    result.push_back(text.substr(at, bytes));
    at += bytes;
  }
  return result;
}

std::string stripped(const std::string& text, const std::string& set, bool left, bool right) {
  const auto goes = [&](const std::string& character) {
    if (!set.empty()) return set.find(character) != std::string::npos;
    const uint32_t code = next_code_point(character, 0).code;
    return is_space(code) || (code >= 0x1C && code <= 0x1F);
  };
  const auto parts = characters(text);
  size_t first = 0, last = parts.size();
  while (left && first < last && goes(parts[first])) ++first;
  while (right && last > first && goes(parts[last - 1])) --last;
  std::string result;
  for (size_t i = first; i < last; ++i) result += parts[i];
  return result;
}

std::vector<Value> elements(const Evaluator& evaluator, const Value& value) {
  std::vector<Value> result;
  if (value.is_undefined()) return result;
  if (value.is_string()) {
    for (std::string& character : characters(value.string()))
      result.push_back(text_value(std::move(character)));
  } else if (value.is_list()) {
    for (const Data& element : value.data()) result.push_back(value.part(element));
  } else if (value.is_dictionary()) {
    for (const auto& [key, element] : value.data().items()) result.push_back(text_value(key));
  } else {
    evaluator.refuse("cannot loop over " + type_name(value));
  }
  return result;
}

namespace {

Value split(const std::string& text, const Arguments& arguments) {
  const std::string by = argument_text(arguments, 0, "sep", "");
  int64_t most = argument_number(arguments, 1, "maxsplit", -1);
  Data list = Data::array();
  std::string rest = by.empty() ? stripped(text, "", true, false) : text;
  while (most != 0) {
    size_t at = std::string::npos, length = by.size();
    if (by.empty()) {
      at = rest.find_first_of(" \t\n\r\v\f");
      length =
          at == std::string::npos ? 0 : rest.size() - at - stripped(rest.substr(at), "", true, false).size();
    } else {
      at = rest.find(by);
    }
    if (at == std::string::npos) break;
    list.push_back(rest.substr(0, at));
    rest = rest.substr(at + length);
    --most;
  }
  if (!by.empty() || !rest.empty()) list.push_back(rest);
  return Value(std::move(list));
}

// Cut from the right, at most maxsplit times.
Value split_right(const std::string& text, const Arguments& arguments) {
  const std::string by = argument_text(arguments, 0, "sep", " ");
  int64_t most = argument_number(arguments, 1, "maxsplit", -1);
  std::vector<std::string> parts;
  std::string rest = text;
  for (size_t at = rest.rfind(by); at != std::string::npos && most != 0 && !by.empty();
       at = rest.rfind(by), --most) {
    parts.push_back(rest.substr(at + by.size()));
    rest.resize(at);
  }
  parts.push_back(rest);
  return Value(Data(std::vector<std::string>(parts.rbegin(), parts.rend())));
}

bool begins_or_ends(const std::string& text, const Value* with, bool begins) {
  if (!with) return false;
  const auto one = [&](const Data& part) {
    if (!part.is_string()) return false;
    const auto& affix = part.get_ref<const std::string&>();
    return begins ? text.starts_with(affix) : text.ends_with(affix);
  };
  if (with->is_list()) return std::any_of(with->data().begin(), with->data().end(), one);
  return with->is_data() && one(with->data());
}

}  // namespace

bool has_method(const Value& self, const std::string& name) {
  const auto among = [&](std::initializer_list<const char*> names) {
    return std::any_of(names.begin(), names.end(), [&](const char* each) { return name == each; });
  };
  if (self.is_dictionary()) return among({"items", "keys", "values", "get"});
  return self.is_string() &&
         among({"strip", "lstrip", "rstrip", "split", "rsplit", "splitlines", "upper", "lower", "title",
                "capitalize", "startswith", "endswith", "replace", "find", "join", "count", "isdigit"});
}

Value call_method(const Evaluator& evaluator, const Value& self, const std::string& name,
                  const Arguments& arguments) {
  const Value* first = arguments.find(0, "key");
  if (self.is_dictionary()) {
    const Data& data = self.data();
    if (name == "get") {
      if (first && first->is_string() && data.contains(first->string()))
        return self.part(data[first->string()]);
      const Value* otherwise = arguments.find(1, "default");
      return otherwise ? *otherwise : Value(Data());
    }
    Data list = Data::array();
    for (const auto& [key, element] : data.items()) {
      if (name == "items")
        list.push_back(Data::array({key, element}));
      else if (name == "keys")
        list.push_back(key);
      else
        list.push_back(element);
    }
    return Value(std::move(list));
  }
  const std::string& text = self.string();
  const std::string word = first && first->is_string() ? first->string() : "";
  if (name == "strip" || name == "lstrip" || name == "rstrip")
    return text_value(stripped(text, word, name != "rstrip", name != "lstrip"));
  if (name == "split") return split(text, arguments);
  if (name == "rsplit") return split_right(text, arguments);
  if (name == "splitlines") {
    Data list = Data::array();
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      list.push_back(text.substr(at, end - at));
      at = end + 1;
    }
    return Value(std::move(list));
  }
  if (name == "upper") return text_value(in_letters(text, Letters::upper));
  if (name == "lower") return text_value(in_letters(text, Letters::lower));
  if (name == "title") return text_value(in_letters(text, Letters::title));
  if (name == "capitalize") return text_value(in_letters(text, Letters::capital));
  if (name == "startswith" || name == "endswith")
    return Value(Data(begins_or_ends(text, first, name == "startswith")));
  if (name == "replace")
    return text_value(replaced(text, word, argument_text(arguments, 1, "new", ""),
                               argument_number(arguments, 2, "count", -1)));
  if (name == "find") {
    const size_t at = text.find(word);
    return Value(
        Data(at == std::string::npos ? -1 : static_cast<int64_t>(characters(text.substr(0, at)).size())));
  }
  if (name == "count") {
    int64_t count = 0;
    for (size_t at = text.find(word); at != std::string::npos && !word.empty();
         at = text.find(word, at + word.size()))
      ++count;
    return Value(Data(count));
  }
  if (name == "isdigit") {
    const auto digit = [](char c) { return c >= '0' && c <= '9'; };
    return Value(Data(!text.empty() && std::all_of(text.begin(), text.end(), digit)));
  }
  std::string joined;  // join
  bool begun = false;
  for (const Value& part : elements(evaluator, first ? *first : Value())) {
    if (!part.is_string()) evaluator.refuse("expected texts to join, found " + type_name(part));
    if (begun) joined += text;
    joined += part.string();
    begun = true;
  }
  return text_value(joined);
}

}  // namespace formwork::chat
