// Memory: what the machine has left, and the peak of a piece of work.
#pragma once
#include <cstdint>

namespace formwork {

// Bytes that this process may still take: MemAvailable, or what the control group's limit leaves where that
// is less. INT64_MAX where the system does not say.
int64_t available_memory();

// The greatest resident memory since construction, above what was resident then. Construction gives free
// memory back to the system and resets the kernel's peak (/proc/self/clear_refs, value 5), so one process
// can measure many models in turn. Code pages that are first used meanwhile count. The kernel counts pages in
// batches, so the last few hundred kB are not certain.
class ResidentPeak {
 public:
  ResidentPeak();
  int64_t bytes() const;  // negative where the system cannot tell

 private:
  int64_t base_ = -1;
};

}  // namespace formwork
