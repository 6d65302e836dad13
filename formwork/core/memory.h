// The C allocator's settings, made once at the program's start.
#pragma once

namespace formwork {

// Keeps freed memory in the process, so that the buffers of a training step are reused by the next one. By
// default glibc returns every block above 128 KiB (growing to 32 MiB) to the system, and each step then pays
// a page fault for every 4 KiB that it touches. Does nothing with another C library.
void keep_freed_memory();

}  // namespace formwork
