#include "formwork/report/tensorboard.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "formwork/core/error.h"

namespace formwork {
namespace {

// Protocol buffer wire types.
constexpr int kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;

template <class Word>
std::string little_endian(Word word) {
  std::string bytes;
  for (size_t i = 0; i < sizeof(Word); ++i) bytes += static_cast<char>(word >> (8 * i) & 0xFF);
  return bytes;
}

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += static_cast<char>((value & 0x7F) | 0x80);
  return bytes + static_cast<char>(value);
}

std::string key(int field, int wire) { return varint(static_cast<uint64_t>(field << 3 | wire)); }

std::string double_field(int field, double value) {
  return key(field, kFixed64) + little_endian(std::bit_cast<uint64_t>(value));
}

std::string bytes_field(int field, std::string_view value) {
  return key(field, kBytes) + varint(value.size()) + std::string(value);
}

constexpr std::array<uint32_t, 256> castagnoli_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0x82F63B78u : 0u);
    table[i] = value;
  }
  return table;
}

uint32_t masked_crc(std::string_view bytes) { return std::rotr(crc32c(bytes), 15) + 0xA282EAD8u; }

double seconds_now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string file_name() {
  static std::atomic<int> count{0};
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0 || host[0] == '\0') std::strcpy(host.data(), "host");
  return fmt::format("events.out.tfevents.{:010}.{}.{}.{}", static_cast<int64_t>(seconds_now()), host.data(),
                     getpid(), count++);
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr auto table = castagnoli_table();
  uint32_t crc = ~0u;
  for (const char c : bytes) crc = crc >> 8 ^ table[(crc ^ static_cast<unsigned char>(c)) & 0xFF];
  return ~crc;
}

std::string tfrecord(std::string_view payload) {
  const std::string length = little_endian(static_cast<uint64_t>(payload.size()));
  return length + little_endian(masked_crc(length)) + std::string(payload) +
         little_endian(masked_crc(payload));
}

std::string scalar_event(double wall_time, int64_t step, const Scalars& scalars) {
  std::string summary;
  for (const auto& [tag, value] : scalars) {
    const auto single = std::bit_cast<uint32_t>(static_cast<float>(value));
    summary += bytes_field(1, bytes_field(1, tag) + key(2, kFixed32) + little_endian(single));
  }
  return double_field(1, wall_time) + key(2, kVarint) + varint(static_cast<uint64_t>(step)) +
         bytes_field(5, summary);
}

EventFile::EventFile(const std::filesystem::path& folder) : file_(nullptr, &std::fclose) {
  std::error_code ignored;  // a folder that cannot be made shows when the file cannot be opened
  std::filesystem::create_directories(folder, ignored);
  path_ = folder / file_name();
  file_.reset(std::fopen(path_.c_str(), "abx"));
  if (!file_) fail("cannot create event file '{}': {}", path_.string(), std::strerror(errno));
  append(double_field(1, seconds_now()) + bytes_field(3, "brain.Event:2"));
}

void EventFile::add(double wall_time, int64_t step, const Scalars& scalars) {
  append(scalar_event(wall_time, step, scalars));
}

void EventFile::append(std::string_view payload) {
  const std::string record = tfrecord(payload);
  if (std::fwrite(record.data(), 1, record.size(), file_.get()) != record.size() ||
      std::fflush(file_.get()) != 0) {
    fail("cannot write event file '{}': {}", path_.string(), std::strerror(errno));
  }
}

}  // namespace formwork
