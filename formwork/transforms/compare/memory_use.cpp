#include "formwork/transforms/compare/memory_use.h"

#if defined(__GLIBC__)
#include <malloc.h>
#endif

#include <algorithm>
#include <fstream>
#include <string>

namespace formwork {
namespace {

// A line "NAME:  123 kB" of a file of /proc in bytes; negative when it is not there.
int64_t proc_bytes(const char* path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);)
    if (line.rfind(name + ":", 0) == 0) return std::stoll(line.substr(name.size() + 1)) * 1024;
  return -1;
}

// A file with one number; negative when it is not there or says "max".
int64_t number_in(const char* path) {
  std::ifstream file(path);
  int64_t value = -1;
  return file >> value ? value : -1;
}

}  // namespace

int64_t available_memory() {
  int64_t available = proc_bytes("/proc/meminfo", "MemAvailable");
  if (available < 0) available = INT64_MAX;
  const int64_t limit = number_in("/sys/fs/cgroup/memory.max");
  const int64_t used = number_in("/sys/fs/cgroup/memory.current");
  return limit >= 0 && used >= 0 ? std::min(available, std::max<int64_t>(0, limit - used)) : available;
}

ResidentPeak::ResidentPeak() {
#if defined(__GLIBC__)
  ::malloc_trim(0);
#endif
  std::ofstream reset("/proc/self/clear_refs");
  if (reset << "5" << std::flush) base_ = proc_bytes("/proc/self/status", "VmRSS");
}

int64_t ResidentPeak::bytes() const {
  const int64_t peak = base_ < 0 ? -1 : proc_bytes("/proc/self/status", "VmHWM");
  return peak < 0 ? -1 : std::max<int64_t>(0, peak - base_);
}

}  // namespace formwork
