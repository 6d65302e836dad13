// The fixture of all suites. A suite that does not apply to a subject says why: it is counted as skipped, and
// the reasons are listed at the end.
//
//   TEST_P(Rows, CausalPartsDoNotSeeLaterTokens) {
//     if (!build("causality") || !when(traits().causal, "not causal")) GTEST_SKIP() << reason();
#pragma once
#include <gtest/gtest.h>

#include "conformance/subject.h"

namespace formwork::conformance {

class Suite : public testing::TestWithParam<Subject> {
 protected:
  // Builds the subject, unless its sample leaves this suite out.
  bool build(const std::string& suite, at::ScalarType dtype = at::kDouble);
  bool when(bool condition, const std::string& otherwise);
  // Why the suite is left out; enters it into the list.
  std::string reason() const;

  const Subject& subject() const { return GetParam(); }
  Model& model() { return *model_; }
  Traits traits() const { return model_->traits(); }

 private:
  std::string suite_, reason_;
  std::shared_ptr<Model> model_;
};

std::string label_of(const testing::TestParamInfo<Subject>& info);

}  // namespace formwork::conformance
