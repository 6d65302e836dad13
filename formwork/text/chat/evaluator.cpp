#include "formwork/text/chat/evaluator.h"

#include "formwork/core/error.h"
#include "formwork/text/chat/text_operations.h"

namespace formwork::chat {
namespace {

constexpr int64_t most_steps = 1'000'000;

}  // namespace

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

}  // namespace formwork::chat
