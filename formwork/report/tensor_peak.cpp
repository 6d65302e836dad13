#include "formwork/report/tensor_peak.h"

#include <c10/core/Allocator.h>
#include <c10/util/ThreadLocalDebugInfo.h>

#include <algorithm>
#include <atomic>

namespace formwork {

struct TensorPeak::Counter final : c10::MemoryReportingInfoBase {
  void reportMemoryUsage(void*, int64_t size, size_t, size_t, c10::Device) override {
    const int64_t now = held += size;
    for (int64_t most = peak; now > most && !peak.compare_exchange_weak(most, now);) {
    }
  }
  bool memoryProfilingEnabled() const override { return true; }
  std::atomic<int64_t> held{0}, peak{0};
};

struct TensorPeak::Scope {
  explicit Scope(std::shared_ptr<Counter> counter)
      : guard(c10::DebugInfoKind::PROFILER_STATE, std::move(counter)) {}
  c10::DebugInfoGuard guard;
};

TensorPeak::TensorPeak() : counter_(std::make_shared<Counter>()), scope_(std::make_unique<Scope>(counter_)) {}
TensorPeak::~TensorPeak() = default;

int64_t TensorPeak::bytes() const { return counter_->peak; }

int64_t TensorPeak::held() const { return counter_->held; }

}  // namespace formwork
