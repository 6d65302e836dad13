#include "formwork/core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <system_error>
#include <utility>

#include "formwork/core/descriptor.h"
#include "formwork/core/error.h"

namespace formwork {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 18;

int open_or_fail(const std::filesystem::path& path, int flags, std::string_view verb) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  if (descriptor < 0) fail_file(verb, path);
  return descriptor;
}

// A name in the same folder (so that rename stays within one file system) that no other thread or process
// uses.
std::filesystem::path temporary_beside(const std::filesystem::path& path) {
  static std::atomic<unsigned> counter{0};
  auto name = path;
  name += fmt::format(".tmp-{}-{}", ::getpid(), counter++);
  return name;
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path(".");
}

}  // namespace

void fail_file(std::string_view verb, const std::filesystem::path& path) {
  fail("cannot {} '{}': {}", verb, path.string(), std::generic_category().message(errno));
}

std::string read_file(const std::filesystem::path& path) {
  const Descriptor file(open_or_fail(path, O_RDONLY, "read"));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail_file("read", path);
  // One byte more than the stated size, so that the read that finds the end needs no growth.
  std::string contents(S_ISREG(status.st_mode) ? static_cast<size_t>(status.st_size) + 1 : kBufferBytes,
                       '\0');
  size_t used = 0;
  while (true) {
    if (used == contents.size()) contents.resize(contents.size() * 2);
    const ssize_t count = ::read(file.get(), contents.data() + used, contents.size() - used);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_file("read", path);
    if (count == 0) break;
    used += static_cast<size_t>(count);
  }
  contents.resize(used);
  return contents;
}

OutputFile::OutputFile(std::filesystem::path path)
    : path_(std::move(path)), file_(open_or_fail(path_, O_WRONLY | O_CREAT | O_EXCL, "create")) {
  buffer_.reserve(kBufferBytes);
}

void OutputFile::write(std::string_view bytes) {
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() >= kBufferBytes) {
    write_through(bytes);
  } else {
    buffer_.append(bytes);
  }
}

void OutputFile::sync() {
  flush();
  if (::fsync(file_.get()) != 0) fail_file("sync", path_);
}

void OutputFile::flush() {
  write_through(buffer_);
  buffer_.clear();
}

void OutputFile::write_through(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(file_.get(), bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) fail_file("write", path_);
    bytes.remove_prefix(static_cast<size_t>(count));
  }
}

void write_atomically(const std::filesystem::path& path, const std::function<void(OutputFile&)>& writer) {
  const auto temporary = temporary_beside(path);
  try {
    OutputFile file(temporary);
    writer(file);
    file.sync();
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail_file("replace", path);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
  sync_path(folder_of(path));
}

void write_atomically(const std::filesystem::path& path, std::string_view contents) {
  write_atomically(path, [&](OutputFile& file) { file.write(contents); });
}

void sync_path(const std::filesystem::path& path) {
  const Descriptor file(open_or_fail(path, O_RDONLY, "open"));
  if (::fsync(file.get()) != 0) fail_file("sync", path);
}

MappedFile::MappedFile(const std::filesystem::path& path) {
  // Without O_NONBLOCK, opening a pipe by mistake would wait for a writer for ever.
  const Descriptor file(open_or_fail(path, O_RDONLY | O_NONBLOCK, "map"));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) fail_file("map", path);
  if (!S_ISREG(status.st_mode)) fail("cannot map '{}': not a regular file", path.string());
  size_ = static_cast<size_t>(status.st_size);
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, file.get(), 0);
  if (address == MAP_FAILED) fail_file("map", path);
  data_ = static_cast<std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace formwork
