// Kernels as processors of other kinds run them.
#pragma once
#include <gtest/gtest.h>
#include <hwy/highway.h>

namespace formwork {

// Calls run() with each SIMD target alone that was compiled and that this processor has.
template <class Run>
void with_each_target(const Run& run) {
  const auto choose = [](int64_t targets) {
    hwy::SetSupportedTargetsForTest(targets);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  };
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, hwy::TargetName(target));
    choose(target);
    run();
  }
  choose(0);  // back to what the processor has
}

}  // namespace formwork
