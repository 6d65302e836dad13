#include "conformance/suite.h"

namespace formwork::conformance {
namespace {

// "causality: not causal" -> how many subjects.
std::map<std::string, int>& left_out() {
  static std::map<std::string, int> table;
  return table;
}

class Summary final : public testing::Environment {
 public:
  void TearDown() override {
    for (const auto& [reason, count] : left_out()) fmt::print("left out {:4} times: {}\n", count, reason);
  }
};

const auto* const kSummary = testing::AddGlobalTestEnvironment(new Summary);

}  // namespace

bool Suite::build(const std::string& suite, at::ScalarType dtype) {
  suite_ = suite;
  const auto found = subject().without.find(suite);
  if (found != subject().without.end()) return when(false, found->second);
  model_ = make(subject().spec, dtype);
  at::manual_seed(23);
  return true;
}

bool Suite::when(bool condition, const std::string& otherwise) {
  if (!condition) reason_ = suite_ + ": " + otherwise;
  return condition;
}

std::string Suite::reason() const {
  ++left_out()[reason_];
  return reason_;
}

std::string label_of(const testing::TestParamInfo<Subject>& info) {
  std::string name = info.param.label;
  for (char& c : name)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return name;
}

}  // namespace formwork::conformance
