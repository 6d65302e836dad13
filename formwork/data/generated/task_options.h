// Named, bounded options of generated tasks, read from JSON.
#pragma once
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace formwork {

struct IntegerOption {
  int64_t* value;
  int64_t least, most;
};

struct RealOption {
  double* value;
  double least, most;
};

struct ChoiceOption {
  std::string* value;
  std::vector<std::string> choices;
};

struct TaskOption {
  std::string name, meaning;
  std::variant<IntegerOption, RealOption, ChoiceOption> field;
};

// Writes the fields of a JSON object into the options. Throws Error that names the task for an unknown name
// (with the nearest right one), a wrong type or a value out of bounds.
void read_task_options(const nlohmann::json& values, const std::vector<TaskOption>& options,
                       std::string_view task);

// One line an option: name, present value, bounds, meaning.
std::string describe_task_options(const std::vector<TaskOption>& options);

}  // namespace formwork
