#include "formwork/core/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>

#include "formwork/core/descriptor.h"
#include "formwork/core/error.h"

namespace formwork {
namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
  Descriptor read, write;
};

[[noreturn]] void fail_start(const std::string& program, int error) {
  fail("cannot run '{}': {}", program, std::generic_category().message(error));
}

Pipe make_pipe(const std::string& program) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) fail_start(program, errno);
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

// A file in memory for stdin: unlike a pipe it neither fills up nor breaks.
Descriptor make_input(const std::string& program, std::string_view input) {
  Descriptor file(::memfd_create("stdin", MFD_CLOEXEC));
  if (!file.is_open()) fail_start(program, errno);
  while (!input.empty()) {
    const ssize_t count = ::write(file.get(), input.data(), input.size());
    if (count < 0) fail_start(program, errno);
    input.remove_prefix(static_cast<size_t>(count));
  }
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

// What the child tells before it becomes the program.
struct Start {
  int error = 0;
  bool network_cut = false;
};

struct Files {
  int input, output, error, start;
};

bool set_limit(decltype(RLIMIT_AS) resource, const std::optional<uint64_t>& value) {
  if (!value) return true;
  const rlimit limit{*value, *value};
  return ::setrlimit(resource, &limit) == 0;
}

// A process that may not make a network namespace may often do so in a user namespace of its own.
bool cut_network() { return ::unshare(CLONE_NEWNET) == 0 || ::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0; }

bool connect_files(const Files& files) {
  return ::dup2(files.input, 0) == 0 && ::dup2(files.output, 1) == 1 && ::dup2(files.error, 2) == 2;
}

void reset_signals() {
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
}

// Between fork and exec: system calls only, since another thread may have held the allocator's lock.
[[noreturn]] void become(char* const* arguments, const ChildLimits& limits, const Files& files) {
  Start start;
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // the child must not outlive a killed parent
  reset_signals();
  if (!limits.network) start.network_cut = cut_network();
  if (connect_files(files) && set_limit(RLIMIT_CORE, 0) && set_limit(RLIMIT_FSIZE, limits.file_bytes) &&
      set_limit(RLIMIT_AS, limits.memory_bytes)) {
    ::close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);  // nothing else of ours is inherited
    if (::write(files.start, &start, sizeof(start)) != sizeof(start)) ::_exit(127);
    ::execvp(arguments[0], arguments);
  }
  start.error = errno;
  if (::write(files.start, &start, sizeof(start)) != sizeof(start)) ::_exit(127);
  ::_exit(127);
}

// Two messages mean that the start failed; the pipe closes by itself when the program starts.
Start read_start(int pipe) {
  Start last, next;
  while (true) {
    const ssize_t count = ::read(pipe, &next, sizeof(next));
    if (count == sizeof(next)) {
      last = next;
    } else if (count >= 0 || errno != EINTR) {
      return last;
    }
  }
}

// One captured stream. `kept` holds at most `limit` bytes; the rest is dropped so that the child never
// blocks.
struct Capture {
  Descriptor pipe;
  uint64_t limit;
  std::string kept = {};
  bool cut = false;

  // Takes what is there; false when nothing is left now.
  bool take() {
    char bytes[65536];
    const ssize_t count = ::read(pipe.get(), bytes, sizeof(bytes));
    if (count < 0 && errno == EINTR) return true;
    if (count < 0) return false;
    if (count == 0) {
      pipe.close();
      return false;
    }
    const auto room = std::min<uint64_t>(limit - kept.size(), static_cast<uint64_t>(count));
    kept.append(bytes, room);
    cut |= room < static_cast<uint64_t>(count);
    return true;
  }
};

// Without reaping: the process id stays taken, so that its group can still be killed safely.
bool has_ended(pid_t child) {
  siginfo_t info{};
  return ::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid != 0;
}

// Collects output until the child ends (true) or the deadline passes (false). Its own children may hold the
// pipes open for longer, so closed pipes alone do not say that it has ended: hence the short naps.
bool collect(pid_t child, Clock::time_point deadline, Capture& output, Capture& error) {
  constexpr int kNapMilliseconds = 10;
  while (!has_ended(child)) {
    if (Clock::now() >= deadline) return false;
    pollfd waits[] = {{output.pipe.get(), POLLIN, 0}, {error.pipe.get(), POLLIN, 0}};  // closed: -1, ignored
    ::poll(waits, 2, kNapMilliseconds);
    if (waits[0].revents != 0) output.take();
    if (waits[1].revents != 0) error.take();
  }
  return true;
}

int reap(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Capture capture(Pipe& pipe, uint64_t limit) {
  pipe.write.close();
  ::fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK);
  return {std::move(pipe.read), limit};
}

}  // namespace

ChildResult run_child(const std::vector<std::string>& command, const ChildLimits& limits,
                      const std::string& input) {
  if (command.empty()) fail("cannot run a child process: the command is empty");
  std::vector<char*> arguments;
  for (const auto& argument : command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  Pipe out = make_pipe(command[0]), err = make_pipe(command[0]), start = make_pipe(command[0]);
  const Descriptor in = make_input(command[0], input);
  const auto deadline = Clock::now() + limits.time;
  const pid_t child = ::fork();
  if (child < 0) fail_start(command[0], errno);
  if (child == 0) {
    become(arguments.data(), limits, {in.get(), out.write.get(), err.write.get(), start.write.get()});
  }
  start.write.close();
  Capture output = capture(out, limits.output_bytes), error = capture(err, limits.output_bytes);
  const Start started = read_start(start.read.get());
  const bool ended = started.error != 0 || collect(child, deadline, output, error);
  ::kill(-child, SIGKILL);
  const int exit_code = reap(child);
  if (started.error != 0) fail_start(command[0], started.error);
  while (output.pipe.is_open() && output.take()) continue;
  while (error.pipe.is_open() && error.take()) continue;
  return {exit_code, !ended, started.network_cut, output.cut || error.cut, output.kept, error.kept};
}

}  // namespace formwork
