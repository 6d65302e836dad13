// Runs a program as a child process under limits: time, memory, no network. For code that is not trusted or
// may hang.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace formwork {

struct ChildLimits {
  std::chrono::milliseconds time{10'000};  // of the wall clock; then the whole process group is killed
  std::optional<uint64_t> memory_bytes;    // of address space (RLIMIT_AS)
  std::optional<uint64_t> file_bytes;      // of any file that it writes (RLIMIT_FSIZE)
  uint64_t output_bytes =
      16 * 1024 * 1024;  // kept of stdout and of stderr each; the rest is read and dropped
  bool network = true;   // false: a network namespace of its own, without interfaces
};

struct ChildResult {
  int exit_code = 0;  // 128 + signal when a signal ended it
  bool timed_out = false;
  bool network_cut = false;   // the network was to be cut and the kernel permitted it
  bool output_cut = false;    // more than output_bytes were written
  std::string output, error;  // stdout, stderr
};

// `command`: program (looked up in PATH) and arguments, passed as they are, without a shell; `input` is its
// stdin. An Error when the program cannot be started. Processes that it leaves behind in its group are killed
// on return.
ChildResult run_child(const std::vector<std::string>& command, const ChildLimits& limits = {},
                      const std::string& input = "");

}  // namespace formwork
