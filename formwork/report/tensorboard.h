// TensorBoard event files: scalars that TensorBoard and everything that reads its files can show.
// Format: TFRecord framing (length, masked CRC-32C of it, payload, masked CRC-32C of it) around protocol
// buffer Event messages (tensorflow/core/util/event.proto).
#pragma once
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace formwork {

// CRC-32C (Castagnoli, RFC 3720, reflected polynomial 0x82F63B78).
uint32_t crc32c(std::string_view bytes);

// One record: u64 length, u32 mask(crc(length)), payload, u32 mask(crc(payload)), all little-endian, where
// mask(c) = rotate_right(c, 15) + 0xA282EAD8.
std::string tfrecord(std::string_view payload);

using Scalars = std::vector<std::pair<std::string, double>>;

// The Event message {wall_time, step, summary: [{tag, simple_value}]}; values are rounded to float.
std::string scalar_event(double wall_time, int64_t step, const Scalars& scalars);

// One event file in a folder, named events.out.tfevents.SECONDS.HOST.PROCESS.COUNT; a resumed run opens
// another.
class EventFile {
 public:
  // Creates the folder if need be. Throws when the file cannot be created.
  explicit EventFile(const std::filesystem::path& folder);

  // Appends and flushes one event. Throws when the disk refuses it.
  void add(double wall_time, int64_t step, const Scalars& scalars);
  const std::filesystem::path& path() const { return path_; }

 private:
  void append(std::string_view payload);

  std::filesystem::path path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
};

}  // namespace formwork
