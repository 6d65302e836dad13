// Methods of chat templates: {{ text.name(arguments) }}, {{ dictionary.name(arguments) }}.
#include <algorithm>
#include <functional>

#include "formwork/text/chat/evaluator.h"
#include "formwork/text/chat/text_operations.h"

namespace formwork::chat {
namespace {

using TextMethod = std::function<Value(const Evaluator&, const std::string&, const Arguments&)>;
using DictionaryMethod = std::function<Value(const Value&, const Arguments&)>;

std::string word_of(const Arguments& arguments) { return arguments.text(0, "key", ""); }

TextMethod strip(bool left, bool right) {
  return [=](const Evaluator&, const std::string& text, const Arguments& arguments) {
    return text_value(stripped(text, word_of(arguments), left, right));
  };
}

TextMethod letters(Letters to) {
  return [=](const Evaluator&, const std::string& text, const Arguments&) {
    return text_value(in_letters(text, to));
  };
}

Value split(const std::string& text, const Arguments& arguments) {
  const std::string by = arguments.text(0, "sep", "");
  int64_t most = arguments.number(1, "maxsplit", -1);
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
  const std::string by = arguments.text(0, "sep", " ");
  int64_t most = arguments.number(1, "maxsplit", -1);
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

TextMethod affix(bool begins) {
  return [=](const Evaluator&, const std::string& text, const Arguments& arguments) {
    return Value(Data(begins_or_ends(text, arguments.find(0, "key"), begins)));
  };
}

Value lines(const std::string& text) {
  Data list = Data::array();
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    list.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return Value(std::move(list));
}

// The place of a word, in characters; -1: nowhere.
Value place(const std::string& text, const std::string& word) {
  const size_t at = text.find(word);
  return Value(
      Data(at == std::string::npos ? -1 : static_cast<int64_t>(characters(text.substr(0, at)).size())));
}

Value count(const std::string& text, const std::string& word) {
  int64_t count = 0;
  for (size_t at = text.find(word); at != std::string::npos && !word.empty();
       at = text.find(word, at + word.size()))
    ++count;
  return Value(Data(count));
}

bool is_digits(const std::string& text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Value joined_by(const Evaluator& evaluator, const std::string& text, const Arguments& arguments) {
  const Value* parts = arguments.find(0, "key");
  std::string joined;
  bool begun = false;
  for (const Value& part : elements(evaluator, parts ? *parts : Value())) {
    if (!part.is_string()) evaluator.refuse("expected texts to join, found " + type_name(part));
    if (begun) joined += text;
    joined += part.string();
    begun = true;
  }
  return text_value(joined);
}

// A method that needs nothing but the text and its arguments.
template <class Method>
TextMethod plain(Method method) {
  return [method](const Evaluator&, const std::string& text, const Arguments& arguments) {
    return Value(method(text, arguments));
  };
}

const std::map<std::string, TextMethod>& text_methods() {
  static const std::map<std::string, TextMethod> table = {
      {"strip", strip(true, true)},
      {"lstrip", strip(true, false)},
      {"rstrip", strip(false, true)},
      {"split", plain(split)},
      {"rsplit", plain(split_right)},
      {"splitlines", plain([](const std::string& text, const Arguments&) { return lines(text); })},
      {"upper", letters(Letters::upper)},
      {"lower", letters(Letters::lower)},
      {"title", letters(Letters::title)},
      {"capitalize", letters(Letters::capital)},
      {"startswith", affix(true)},
      {"endswith", affix(false)},
      {"replace", plain([](const std::string& text, const Arguments& a) {
         return text_value(replaced(text, word_of(a), a.text(1, "new", ""), a.number(2, "count", -1)));
       })},
      {"find", plain([](const std::string& text, const Arguments& a) { return place(text, word_of(a)); })},
      {"count", plain([](const std::string& text, const Arguments& a) { return count(text, word_of(a)); })},
      {"isdigit", plain([](const std::string& text, const Arguments&) { return Data(is_digits(text)); })},
      {"join", joined_by},
  };
  return table;
}

Value entry(const Value& self, const Arguments& arguments) {
  const Value* key = arguments.find(0, "key");
  const Data& data = self.data();
  if (key && key->is_string() && data.contains(key->string())) return self.part(data[key->string()]);
  const Value* otherwise = arguments.find(1, "default");
  return otherwise ? *otherwise : Value(Data());
}

DictionaryMethod entries(std::function<Data(const std::string& key, const Data& element)> take) {
  return [take](const Value& self, const Arguments&) {
    Data list = Data::array();
    for (const auto& [key, element] : self.data().items()) list.push_back(take(key, element));
    return Value(std::move(list));
  };
}

const std::map<std::string, DictionaryMethod>& dictionary_methods() {
  static const std::map<std::string, DictionaryMethod> table = {
      {"get", entry},
      {"items", entries([](const std::string& key, const Data& element) {
         return Data::array({key, element});
       })},
      {"keys", entries([](const std::string& key, const Data&) { return Data(key); })},
      {"values", entries([](const std::string&, const Data& element) { return element; })},
  };
  return table;
}

}  // namespace

bool has_method(const Value& self, const std::string& name) {
  if (self.is_dictionary()) return dictionary_methods().contains(name);
  return self.is_string() && text_methods().contains(name);
}

Value call_method(const Evaluator& evaluator, const Value& self, const std::string& name,
                  const Arguments& arguments) {
  if (self.is_dictionary()) return dictionary_methods().at(name)(self, arguments);
  return text_methods().at(name)(evaluator, self.string(), arguments);
}

}  // namespace formwork::chat
