#include "formwork/text/chat/text_operations.h"

#include "formwork/text/unicode/unicode_classes.h"

namespace formwork::chat {

Value text_value(std::string text) { return Value(Data(std::move(text))); }

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

}  // namespace formwork::chat
