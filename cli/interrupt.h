// What a long command does when it is stopped by Ctrl-C (SIGINT) or SIGTERM.
#pragma once
#include <functional>

namespace formwork::cli {

// From now on such a signal runs `action` in a thread of its own and ends the process with exit code
// 128 + signal, at once: what is kept on disk must be whole at every moment. A signal that is ignored already
// (as under nohup) stays so. To be called once, before the command's own threads start.
void on_interrupt(std::function<void()> action);

}  // namespace formwork::cli
