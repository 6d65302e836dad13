#include <ctime>

#include "formwork/core/error.h"
#include "formwork/text/chat/evaluator.h"

namespace formwork::chat {
namespace {

constexpr int deepest_call = 40;

}  // namespace

const Value* Arguments::find(size_t place, const std::string& name) const {
  if (place < positional.size()) return &positional[place];
  const auto found = named.find(name);
  return found == named.end() ? nullptr : &found->second;
}

std::string Arguments::text(size_t place, const char* name, const std::string& otherwise) const {
  const Value* found = find(place, name);
  return found && found->is_string() ? found->string() : otherwise;
}

int64_t Arguments::number(size_t place, const char* name, int64_t otherwise) const {
  const Value* found = find(place, name);
  return found && found->is_number() ? found->data().get<int64_t>() : otherwise;
}

bool Arguments::flag(size_t place, const char* name) const {
  const Value* found = find(place, name);
  return found && truth(*found);
}

Arguments Evaluator::computed(const std::vector<Argument>& arguments) {
  Arguments result;
  for (const Argument& argument : arguments) {
    if (argument.name.empty())
      result.positional.push_back(compute(*argument.value));
    else
      result.named[argument.name] = compute(*argument.value);
  }
  return result;
}

Value Evaluator::call(const Expression& expression) {
  const Value target = compute(*expression.parts[0]);
  const Arguments arguments = computed(expression.arguments);
  line_ = expression.line;
  if (target.kind() == Value::Kind::macro) return call_macro(*target.macro(), arguments);
  if (target.kind() != Value::Kind::function)
    refuse(target.is_undefined() ? fmt::format("'{}' is undefined", target.name())
                                 : "cannot call " + type_name(target));
  if (target.self()) return call_method(*this, *target.self(), target.name(), arguments);
  return call_function(target.name(), arguments);
}

Value Evaluator::call_macro(const Statement& macro, const Arguments& arguments) {
  if (++depth_ > deepest_call) refuse(fmt::format("macros call each other more than {} deep", deepest_call));
  if (arguments.positional.size() > macro.names.size())
    refuse(fmt::format("macro '{}' takes at most {} arguments", macro.text, macro.names.size()));
  Value::Space locals;
  for (size_t i = 0; i < macro.names.size(); ++i) {
    if (const Value* given = arguments.find(i, macro.names[i]))
      locals[macro.names[i]] = *given;
    else if (macro.defaults[i])
      locals[macro.names[i]] = compute(*macro.defaults[i]);
    else
      locals[macro.names[i]] = Value::undefined(macro.names[i]);
  }
  std::vector<Value::Space> outer(scopes_.begin() + 2, scopes_.end());
  scopes_.resize(2);  // a macro sees what the template's top level has
  scopes_.push_back(std::move(locals));
  const std::string text = captured(macro.body);
  scopes_.resize(2);
  scopes_.insert(scopes_.end(), std::make_move_iterator(outer.begin()), std::make_move_iterator(outer.end()));
  --depth_;
  return Value(Data(text));
}

Value Evaluator::call_function(const std::string& name, const Arguments& arguments) {
  if (name == "raise_exception") {
    const Value* message = arguments.find(0, "message");
    fail("the chat template refuses: {}", message ? to_text(*message) : "");
  }
  if (name == "namespace") {
    Value made = Value::make_space();
    for (const Value& given : arguments.positional)
      if (given.is_dictionary())
        for (const auto& [key, value] : given.data().items()) made.space()[key] = given.part(value);
    for (const auto& [key, value] : arguments.named) made.space()[key] = value;
    return made;
  }
  if (name == "dict") {
    Data made = Data::object();
    for (const auto& [key, value] : arguments.named)
      if (value.is_data()) made[key] = value.data();
    return Value(std::move(made));
  }
  if (name == "strftime_now") {
    const Value* format = arguments.find(0, "format");
    const std::time_t seconds = std::time(nullptr);
    std::tm moment{};
    localtime_r(&seconds, &moment);
    char text[256] = {};
    const size_t size = std::strftime(text, sizeof(text), format ? to_text(*format).c_str() : "", &moment);
    return Value(Data(std::string(text, size)));
  }
  int64_t bounds[3] = {0, 0, 1};  // range
  const size_t count = arguments.positional.size();
  if (count < 1 || count > 3) refuse("range takes one to three numbers");
  for (size_t i = 0; i < count; ++i) {
    const Value& bound = arguments.positional[i];
    if (!bound.is_whole()) refuse("range takes whole numbers, found " + type_name(bound));
    bounds[count == 1 ? 1 : i] = bound.whole();
  }
  if (bounds[2] == 0) refuse("range with step 0");
  Data list = Data::array();
  constexpr size_t longest = 100000;
  for (int64_t at = bounds[0]; bounds[2] > 0 ? at < bounds[1] : at > bounds[1]; at += bounds[2]) {
    list.push_back(at);
    if (list.size() > longest) refuse(fmt::format("a range of more than {} numbers", longest));
  }
  return Value(std::move(list));
}

}  // namespace formwork::chat
