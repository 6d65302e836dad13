#include "formwork/data/generated/task_options.h"

#include <nlohmann/json.hpp>

#include "formwork/core/error.h"

namespace formwork {
namespace {

using nlohmann::json;

struct Reader {
  const json& found;
  std::string where;

  void operator()(const IntegerOption& field) const {
    if (!found.is_number_integer() || found < field.least || found > field.most) wrong(bounds(field));
    *field.value = found.get<int64_t>();
  }
  void operator()(const RealOption& field) const {
    if (!found.is_number() || found < field.least || found > field.most) wrong(bounds(field));
    *field.value = found.get<double>();
  }
  void operator()(const ChoiceOption& field) const {
    if (!found.is_string()) wrong(bounds(field));
    const auto name = found.get<std::string>();
    if (std::find(field.choices.begin(), field.choices.end(), name) == field.choices.end())
      fail_unknown(where, name, field.choices);
    *field.value = name;
  }

  static std::string bounds(const IntegerOption& field) {
    return fmt::format("a whole number from {} to {}", field.least, field.most);
  }
  static std::string bounds(const RealOption& field) {
    return fmt::format("a number from {} to {}", field.least, field.most);
  }
  static std::string bounds(const ChoiceOption& field) {
    return fmt::format("one of {}", fmt::join(field.choices, ", "));
  }
  [[noreturn]] void wrong(const std::string& expected) const {
    fail("{}: expected {}, found {}", where, expected,
         found.dump(-1, ' ', true, json::error_handler_t::replace));
  }
};

}  // namespace

void read_task_options(const json& values, const std::vector<TaskOption>& options, std::string_view task) {
  if (!values.is_object() && !values.is_null())
    fail("task {}: expected its options as a JSON object, found a {}", task, values.type_name());
  std::vector<std::string> names;
  for (const TaskOption& option : options) names.push_back(option.name);
  for (const auto& [name, value] : values.items()) {
    const auto found = std::find(names.begin(), names.end(), name);
    if (found == names.end()) fail_unknown(fmt::format("option of task {}", task), name, names);
    const Reader reader{value, fmt::format("task {}: option {}", task, name)};
    std::visit(reader, options[found - names.begin()].field);
  }
}

std::string describe_task_options(const std::vector<TaskOption>& options) {
  std::string lines;
  for (const TaskOption& option : options)
    std::visit(
        [&](const auto& field) {
          lines += fmt::format("{} = {} ({}): {}\n", option.name, *field.value, Reader::bounds(field),
                               option.meaning);
        },
        option.field);
  return lines;
}

}  // namespace formwork
