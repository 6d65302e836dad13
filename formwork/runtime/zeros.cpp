#include "formwork/runtime/zeros.h"

#include <sys/mman.h>

namespace formwork::runtime {
namespace {

size_t bytes_of(const Raw& raw, const std::string& name) {
  constexpr int64_t kMost = int64_t{1} << 45;
  int64_t bytes = dtype_bytes(raw.dtype);
  for (const int64_t size : raw.shape)
    if (size < 0 || __builtin_mul_overflow(bytes, size, &bytes) || bytes > kMost)
      fail("'{}': a tensor of shape [{}] is larger than any memory", name, fmt::join(raw.shape, ", "));
  return static_cast<size_t>(bytes);
}

}  // namespace

Zeros::~Zeros() {
  for (const auto& region : regions_) ::munmap(region.data, region.size);
}

// Pages that are only read are one page of the system's.
const void* Zeros::of(const Raw& raw, const std::string& name) {
  const size_t bytes = bytes_of(raw, name);
  if (!regions_.empty() && bytes <= regions_.back().size) return regions_.back().data;
  const size_t size = std::max<size_t>(2 * bytes, 1 << 16);
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (data == MAP_FAILED) fail("'{}': no memory for shape [{}]", name, fmt::join(raw.shape, ", "));
  regions_.push_back({data, size});
  return data;
}

}  // namespace formwork::runtime
