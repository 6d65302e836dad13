#include "formwork/core/content_hash.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstring>

#include "formwork/core/file.h"
#include "formwork/core/random.h"

namespace formwork {

uint64_t content_hash(std::string_view bytes, uint64_t seed) {
  uint64_t hash = mix(seed, bytes.size());
  for (size_t at = 0; at < bytes.size(); at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, std::min(sizeof(word), bytes.size() - at));
    hash = mix(hash, word);
  }
  return hash;
}

uint64_t file_hash(const std::filesystem::path& path, uint64_t seed) {
  return content_hash(MappedFile(path).bytes(), seed);
}

uint64_t program_hash() {
  static const uint64_t hash = [] {
    Dl_info info{};
    const bool found = ::dladdr(reinterpret_cast<const void*>(&program_hash), &info) != 0;
    return file_hash(found && info.dli_fname ? info.dli_fname : "/proc/self/exe");
  }();
  return hash;
}

std::string hash_text(uint64_t hash) { return fmt::format("{:016x}", hash); }

}  // namespace formwork
