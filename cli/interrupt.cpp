#include "interrupt.h"

#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <thread>

namespace formwork::cli {
namespace {

bool is_ignored(int signal) {
  struct sigaction now {};
  return ::sigaction(signal, nullptr, &now) == 0 && now.sa_handler == SIG_IGN;
}

}  // namespace

void on_interrupt(std::function<void()> action) {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM})
    if (!is_ignored(signal)) sigaddset(&signals, signal);
  // Threads inherit the mask, so only the waiting one ever takes these signals.
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals, action = std::move(action)] {
    int signal = 0;
    if (::sigwait(&signals, &signal) != 0) return;
    action();
    ::_exit(128 + signal);
  }).detach();
}

}  // namespace formwork::cli
