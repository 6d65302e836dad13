// Files: whole reads, writes that are all or nothing, read-mostly mappings. Every Error names the path.
#pragma once
#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "formwork/core/descriptor.h"

namespace formwork {

// Throws "cannot VERB 'PATH': REASON" for the current errno.
[[noreturn]] void fail_file(std::string_view verb, const std::filesystem::path& path);

// The whole file as bytes; works for pipes and /proc files too.
std::string read_file(const std::filesystem::path& path);

// A buffered file under construction; every failed write (a full disk, say) throws at once.
class OutputFile {
 public:
  // Creates `path` new: an Error if it exists already.
  explicit OutputFile(std::filesystem::path path);

  void write(std::string_view bytes);
  void write(const void* bytes, size_t count) { write({static_cast<const char*>(bytes), count}); }
  // Flushes the buffer and waits until the device has the bytes.
  void sync();

 private:
  void flush();
  void write_through(std::string_view bytes);

  std::filesystem::path path_;
  Descriptor file_;
  std::string buffer_;
};

// Writes a temporary file beside `path`, syncs it, renames it over `path` and syncs the folder: after a crash
// at any instant `path` holds the old bytes or the new ones, never a mixture. When `writer` throws, `path` is
// untouched and the temporary file is gone. A symbolic link at `path` is replaced, not followed.
void write_atomically(const std::filesystem::path& path, const std::function<void(OutputFile&)>& writer);
void write_atomically(const std::filesystem::path& path, std::string_view contents);

// Waits until the device has the file's bytes (or, for a folder, its list of names).
void sync_path(const std::filesystem::path& path);

// A regular file mapped into memory. Writing through data() changes private pages of this process, never the
// file. Another process that shortens the file in place makes later reads fault; write_atomically does not.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;

  std::byte* data() const { return data_; }
  size_t size() const { return size_; }
  std::string_view bytes() const { return {reinterpret_cast<const char*>(data_), size_}; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace formwork
