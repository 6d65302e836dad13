#include "formwork/text/chat_template_evaluator.h"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <optional>

#include "formwork/core/error.h"
#include "formwork/text/chat_template.h"

namespace formwork::chat {
namespace {

using Kind = Expression::Kind;

constexpr int64_t most_steps = 1'000'000;
constexpr size_t most_output = 64 << 20;
constexpr int deepest_call = 40;

double number(const Value& value) {
  const Data& data = value.data();
  return data.is_boolean() ? static_cast<double>(data.get<bool>()) : data.get<double>();
}

bool is_whole(const Value& value) { return value.data().is_number_integer() || value.data().is_boolean(); }
int64_t whole(const Value& value) {
  return value.data().is_boolean() ? static_cast<int64_t>(value.data().get<bool>())
                                   : value.data().get<int64_t>();
}

}  // namespace

const Value* Arguments::find(size_t place, const std::string& name) const {
  if (place < positional.size()) return &positional[place];
  const auto found = named.find(name);
  return found == named.end() ? nullptr : &found->second;
}

Evaluator::Evaluator(const Data& variables) : scopes_(2) {
  if (!variables.is_object()) fail("expected the variables of a chat template to be an object");
  for (const char* name : {"raise_exception", "namespace", "range", "dict", "strftime_now"})
    scopes_[0][name] = Value::function(name);
  const auto kept = std::make_shared<const Data>(variables);
  for (const auto& [name, value] : kept->items()) scopes_[0][name] = Value(kept, value);
}

void Evaluator::refuse(const std::string& what) const { fail("chat template, line {}: {}", line_, what); }

void Evaluator::step() {
  if (++steps_ > most_steps) refuse(fmt::format("more than {} steps", most_steps));
}

std::string Evaluator::run(const Template& parsed) {
  run(parsed.body);
  return std::move(output_);
}

Evaluator::Flow Evaluator::run(const std::vector<Statement>& body) {
  for (const Statement& statement : body)
    if (const Flow flow = run(statement); flow != Flow::on) return flow;
  return Flow::on;
}

Evaluator::Flow Evaluator::run(const Statement& statement) {
  using What = Statement::Kind;
  line_ = statement.line;
  step();
  switch (statement.kind) {
    case What::text:
      print(Value(Data(statement.text)));
      break;
    case What::output:
      print(compute(*statement.value));
      break;
    case What::choice:
      for (const auto& branch : statement.branches)
        if (!branch.condition || truth(compute(*branch.condition))) return run(branch.body);
      break;
    case What::loop:
      return loop(statement);
    case What::set:
      set(statement, compute(*statement.value));
      break;
    case What::set_block:
      set(statement, Value(Data(captured(statement.body))));
      break;
    case What::macro:
      scopes_.back()[statement.text] = Value::macro(statement);
      break;
    case What::block:
      return run(statement.body);
    case What::break_loop:
      return Flow::leave;
    case What::continue_loop:
      return Flow::again;
  }
  return Flow::on;
}

void Evaluator::print(const Value& value) {
  output_ += to_text(value);
  if (output_.size() > most_output) refuse(fmt::format("more than {} bytes of text", most_output));
}

std::string Evaluator::captured(const std::vector<Statement>& body) {
  std::string outer = std::move(output_);
  output_.clear();
  run(body);
  outer.swap(output_);
  return outer;
}

void Evaluator::bind(const std::vector<std::string>& names, const Value& value) {
  if (names.size() == 1) {
    scopes_.back()[names[0]] = value;
    return;
  }
  const std::vector<Value> parts = elements(*this, value);
  if (parts.size() != names.size())
    refuse(fmt::format("expected {} values to name, found {}", names.size(), parts.size()));
  for (size_t i = 0; i < names.size(); ++i) scopes_.back()[names[i]] = parts[i];
}

void Evaluator::set(const Statement& statement, const Value& value) {
  if (statement.attribute.empty()) return bind(statement.names, value);
  const Value space = look_up(statement.names[0]);
  if (space.kind() != Value::Kind::space)
    refuse(fmt::format("cannot set {}.{}: expected a namespace, found {}", statement.names[0],
                       statement.attribute, type_name(space)));
  space.space()[statement.attribute] = value;
}

Evaluator::Flow Evaluator::loop(const Statement& statement) {
  std::vector<Value> values = elements(*this, compute(*statement.value));
  scopes_.emplace_back();
  if (statement.condition) {
    std::vector<Value> kept;
    for (const Value& value : values) {
      step();
      bind(statement.names, value);
      if (truth(compute(*statement.condition))) kept.push_back(value);
    }
    values.swap(kept);
  }
  const auto count = static_cast<int64_t>(values.size());
  for (int64_t i = 0; i < count; ++i) {
    steps_ += 9;  // a turn is dear
    step();
    scopes_.back().clear();
    bind(statement.names, values[static_cast<size_t>(i)]);
    Value state = Value::make_space();
    auto& space = state.space();
    const std::pair<const char*, Data> fields[] = {{"index", i + 1},        {"index0", i},
                                                   {"revindex", count - i}, {"revindex0", count - i - 1},
                                                   {"first", i == 0},       {"last", i + 1 == count},
                                                   {"length", count}};
    for (const auto& [name, data] : fields) space[name] = Value(data);
    if (i > 0) space["previtem"] = values[static_cast<size_t>(i - 1)];
    if (i + 1 < count) space["nextitem"] = values[static_cast<size_t>(i + 1)];
    scopes_.back()["loop"] = state;
    if (run(statement.body) == Flow::leave) break;
  }
  scopes_.pop_back();
  if (count == 0 && !statement.branches.empty()) return run(statement.branches[0].body);
  return Flow::on;
}

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
  if (!indexed || !key.is_number() || !is_whole(key)) return Value::undefined(to_text(key));
  const std::vector<Value> parts = value.is_string() ? elements(*this, value) : std::vector<Value>();
  const auto size = static_cast<int64_t>(value.is_string() ? parts.size() : value.data().size());
  int64_t index = whole(key);
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
    if (!bound.is_number() || !is_whole(bound))
      refuse("expected whole numbers in a slice, found " + type_name(bound));
    bounds[i] = whole(bound);
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
    if (!bound.is_number() || !is_whole(bound))
      refuse("range takes whole numbers, found " + type_name(bound));
    bounds[count == 1 ? 1 : i] = whole(bound);
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
  if (sign == "*" && left.is_string() && right.is_number() && is_whole(right)) {
    const int64_t times = std::max<int64_t>(whole(right), 0);
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
  if (!is_whole(left) || !is_whole(right) || sign == "/" || sign == "**") {
    const double a = number(left), b = number(right);
    double value = sign == "+" ? a + b : sign == "-" ? a - b : sign == "*" ? a * b : sign == "/" ? a / b : 0;
    if (sign == "//") value = std::floor(a / b);
    if (sign == "%") value = a - b * std::floor(a / b);
    if (sign == "**") value = std::pow(a, b);
    const bool exact = sign == "**" && is_whole(left) && is_whole(right) && b >= 0 && std::fabs(value) < 9e15;
    return exact ? Value(Data(static_cast<int64_t>(value))) : Value(Data(value));
  }
  const int64_t a = whole(left), b = whole(right);
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

Value Evaluator::compute(const Expression& expression) {
  step();
  const auto& parts = expression.parts;
  const auto part = [&](size_t i) { return compute(*parts[i]); };
  switch (expression.kind) {
    case Kind::constant:
      return expression.value;
    case Kind::name:
      return look_up(expression.text);
    case Kind::list:
    case Kind::dictionary: {
      const bool is_list = expression.kind == Kind::list;
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
    case Kind::attribute:
      return attribute(part(0), expression.text);
    case Kind::item:
      return item(part(0), part(1));
    case Kind::slice:
      return slice(expression);
    case Kind::call:
      return call(expression);
    case Kind::filter: {
      const Arguments arguments = computed(expression.arguments);
      const Value value = part(0);
      line_ = expression.line;
      return apply_filter(expression.text, value, arguments);
    }
    case Kind::test:
      return Value(
          Data(apply_test(expression.text, part(0), computed(expression.arguments)) != expression.negated));
    case Kind::negation:
      return binary("-", Value(Data(0)), part(0));
    case Kind::logical_not:
      return Value(Data(!truth(part(0))));
    case Kind::logical_and:
    case Kind::logical_or: {
      Value left = part(0);
      return truth(left) == (expression.kind == Kind::logical_or) ? left : part(1);
    }
    case Kind::binary:
      return binary(expression.text, part(0), part(1));
    case Kind::compare: {
      Value left = part(0);
      for (size_t i = 0; i < expression.texts.size(); ++i) {
        Value right = part(i + 1);
        if (!compare(expression.texts[i], left, right)) return Value(Data(false));
        left = std::move(right);
      }
      return Value(Data(true));
    }
    case Kind::choice:
      if (truth(part(0))) return part(1);
      return parts[2] ? part(2) : Value();
  }
  return Value();
}

}  // namespace formwork::chat
