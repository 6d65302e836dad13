// Splitting a loop over the processor's threads. The threads are those of the OpenMP runtime that is already
// in the process (LibTorch's), so that the two never compete and the user's thread setting holds; a process
// without one uses a pool of ours.
#pragma once
#include <cstdint>
#include <type_traits>

namespace formwork {

// A borrowed callable (first, last) -> void; it must outlive the call.
class RangeFunction {
 public:
  template <class F, class = std::enable_if_t<!std::is_same_v<std::decay_t<F>, RangeFunction>>>
  RangeFunction(const F& f)
      : object_(&f), call_([](const void* object, std::int64_t first, std::int64_t last) {
          (*static_cast<const F*>(object))(first, last);
        }) {}
  void operator()(std::int64_t first, std::int64_t last) const { call_(object_, first, last); }

 private:
  const void* object_;
  void (*call_)(const void*, std::int64_t, std::int64_t);
};

// Threads that parallel_for may use from here: 1 inside another parallel loop.
std::int64_t parallel_threads();

// How many threads loops use from now on, at least 1; in a process without OpenMP to be called before the
// first loop, since the pool keeps its size.
void set_parallel_threads(std::int64_t threads);

// Calls fn(first, last) on disjoint ranges that cover [begin, end), each of at least `grain` items but the
// last. The ranges run at once on several threads; the first exception is thrown again here.
void parallel_for(std::int64_t begin, std::int64_t end, std::int64_t grain, RangeFunction fn);

}  // namespace formwork
