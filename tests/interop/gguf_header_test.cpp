#include "formwork/interop/gguf_header.h"

#include <gtest/gtest.h>

#include "interop/gguf_bytes.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

std::string message_of(const GgufBytes& file) {
  try {
    parse_gguf_header(file.bytes, "x.gguf");
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

enum : uint32_t { kU8, kI8, kU16, kI16, kU32, kI32, kF32, kBool, kString, kArray, kU64, kI64, kF64 };

TEST(GgufHeader, ReadsEveryKindOfValue) {
  auto file = GgufBytes::begin(0, 13);
  file.text("a").u32(kU8).put<uint8_t>(200).text("b").u32(kI8).put<int8_t>(-3);
  file.text("c").u32(kU16).put<uint16_t>(65535).text("d").u32(kI16).put<int16_t>(-300);
  file.text("e").u32(kU32).u32(4000000000u).text("f").u32(kI32).put<int32_t>(-7);
  file.text("g").u32(kF32).put(1.5f).text("h").u32(kBool).put<uint8_t>(1).text("i").u32(kString).text(
      "words");
  file.text("j")
      .u32(kU64)
      .u64(UINT64_MAX)
      .text("k")
      .u32(kI64)
      .put<int64_t>(INT64_MIN)
      .text("l")
      .u32(kF64)
      .put(0.1);
  file.text("m").u32(kArray).u32(kString).u64(2).text("one").text("");
  const auto header = parse_gguf_header(file.bytes, "x.gguf");
  const auto& all = header.metadata;
  EXPECT_EQ(std::get<uint64_t>(all.at("a")), 200u);
  EXPECT_EQ(std::get<int64_t>(all.at("b")), -3);
  EXPECT_EQ(std::get<uint64_t>(all.at("c")), 65535u);
  EXPECT_EQ(std::get<int64_t>(all.at("d")), -300);
  EXPECT_EQ(std::get<uint64_t>(all.at("e")), 4000000000u);
  EXPECT_EQ(std::get<int64_t>(all.at("f")), -7);
  EXPECT_EQ(std::get<double>(all.at("g")), 1.5);
  EXPECT_TRUE(std::get<bool>(all.at("h")));
  EXPECT_EQ(std::get<std::string_view>(all.at("i")), "words");
  EXPECT_EQ(std::get<uint64_t>(all.at("j")), UINT64_MAX);
  EXPECT_EQ(std::get<int64_t>(all.at("k")), INT64_MIN);
  EXPECT_EQ(std::get<double>(all.at("l")), 0.1);
  const auto values = std::get<GgufArray>(all.at("m")).values();
  ASSERT_EQ(values.size(), 2u);
  EXPECT_EQ(std::get<std::string_view>(values[0]), "one");
}

TEST(GgufHeader, ReadsArraysInArrays) {
  auto file = GgufBytes::begin(0, 1, 2);
  file.text("a").u32(kArray).u32(kArray).u64(2);
  file.u32(kI32).u64(3).put<int32_t>(1).put<int32_t>(2).put<int32_t>(3);
  file.u32(kString).u64(1).text("end");
  const auto header = parse_gguf_header(file.bytes, "x.gguf");
  EXPECT_EQ(header.version, 2u);
  const auto outer = std::get<GgufArray>(header.metadata.at("a")).values();
  ASSERT_EQ(outer.size(), 2u);
  const auto inner = std::get<GgufArray>(outer[0]).values();
  ASSERT_EQ(inner.size(), 3u);
  EXPECT_EQ(std::get<int64_t>(inner[2]), 3);
  EXPECT_EQ(std::get<std::string_view>(std::get<GgufArray>(outer[1]).values()[0]), "end");
}

TEST(GgufHeader, ReadsTensorsWithTheSlowestSizeFirst) {
  auto file = GgufBytes::begin(2, 1);
  file.text("general.alignment").u32(kU32).u32(64);
  file.tensor("w", {64, 3}, 3, 0).tensor("v", {5}, 0, 128).align(64).fill(128 + 20);
  const auto header = parse_gguf_header(file.bytes, "x.gguf");
  EXPECT_EQ(header.alignment, 64u);
  EXPECT_EQ(header.data_start % 64, 0u);
  const auto& w = header.tensors.at("w");
  EXPECT_EQ(w.shape, (std::vector<int64_t>{3, 64}));
  EXPECT_EQ(w.bytes, 3u * 2 * 20);
  EXPECT_EQ(std::string(w.type->name), "q4_1");
  EXPECT_EQ(header.tensors.at("v").offset, 128u);
}

struct Malformed {
  const char* name;
  GgufBytes file;
  const char* says;
};

std::vector<Malformed> malformed() {
  const auto with = [](uint64_t tensors, uint64_t entries, auto change) {
    auto file = GgufBytes::begin(tensors, entries);
    change(file);
    return file;
  };
  const auto one = [&](const std::vector<uint64_t>& sizes, uint32_t type, uint64_t offset, size_t data) {
    return with(1, 0, [&](GgufBytes& f) { f.tensor("w", sizes, type, offset).align().fill(data); });
  };
  const auto nested = with(0, 1, [](GgufBytes& f) {
    f.text("a").u32(kArray);
    for (int i = 0; i < 100; ++i) f.u32(kArray).u64(1);
    f.u32(kU8).u64(1).put<uint8_t>(0);
  });
  return {
      {"empty", {}, "empty file"},
      {"magic", {"GGML....................."}, "not a GGUF file"},
      {"lfs", {"version https://git-lfs.github.com/spec/v1\n"}, "Git LFS"},
      {"short", {std::string("GGUF\3\0\0\0\1", 9)}, "truncated"},
      {"version_1", GgufBytes::begin(0, 0, 1), "version 1 is not known"},
      {"big_endian", GgufBytes::begin(0, 0, 0x03000000), "little-endian"},
      {"many_entries", GgufBytes::begin(0, UINT64_MAX), "do not fit"},
      {"many_tensors", GgufBytes::begin(uint64_t{1} << 62, 0), "do not fit"},
      {"long_key", with(0, 1, [](GgufBytes& f) { f.u64(UINT64_MAX - 7).fill(64); }), "truncated"},
      {"value_type", with(0, 1, [](GgufBytes& f) { f.text("a").u32(13).fill(8); }), "value type 13"},
      {"bool", with(0, 1, [](GgufBytes& f) { f.text("a").u32(kBool).put<uint8_t>(2); }), "0 or 1, found 2"},
      {"twice", with(0, 2, [](GgufBytes& f) { f.text("a").u32(kU32).u32(1).text("a").u32(kU32).u32(1); }),
       "'a' stands there twice"},
      {"array_count",
       with(0, 1, [](GgufBytes& f) { f.text("a").u32(kArray).u32(kU64).u64(uint64_t{1} << 61).fill(64); }),
       "do not fit"},
      {"array_of_strings",
       with(0, 1,
            [](GgufBytes& f) {
              f.text("a").u32(kArray).u32(kString).u64(4).fill(16).u64(UINT64_MAX).fill(64);
            }),
       "truncated"},
      {"deep", nested, "deep"},
      {"alignment", with(0, 1, [](GgufBytes& f) { f.text("general.alignment").u32(kU32).u32(24); }),
       "power of two"},
      {"alignment_0", with(0, 1, [](GgufBytes& f) { f.text("general.alignment").u32(kU32).u32(0); }),
       "power of two"},
      {"alignment_text",
       with(0, 1, [](GgufBytes& f) { f.text("general.alignment").u32(kString).text("32"); }), "power of two"},
      {"dimensions", one({1, 1, 1, 1, 1}, 0, 0, 4), "5 dimensions"},
      {"size", one({uint64_t{1} << 63}, 0, 0, 4), "beyond 63 bits"},
      {"values", one({uint64_t{1} << 40, uint64_t{1} << 40}, 0, 0, 4), "more values than 63 bits"},
      {"bytes", one({uint64_t{1} << 62}, 0, 0, 4), "more bytes than 63 bits"},
      {"type", one({4}, 4, 0, 16), "tensor type 4 is not known"},
      {"blocks", one({40}, 8, 0, 34), "no whole blocks of 32"},
      {"offset", one({4}, 0, 8, 64), "no multiple of the alignment"},
      {"outside", one({4}, 0, 64, 64), "end beyond"},
      {"truncated", one({64, 64}, 0, 0, 64 * 64 * 4 - 1), "end beyond"},
      {"far", one({4}, 0, UINT64_MAX - 31, 64), "end beyond"},
      {"overlap",
       with(2, 0, [](GgufBytes& f) { f.tensor("v", {16}, 0, 0).tensor("w", {4}, 0, 32).align().fill(64); }),
       "'v' and 'w' overlap"},
      {"same_name",
       with(2, 0, [](GgufBytes& f) { f.tensor("w", {4}, 0, 0).tensor("w", {4}, 0, 32).align().fill(64); }),
       "'w' stands there twice"},
  };
}

TEST(GgufHeader, RefusesMalformedFilesInOneLine) {
  for (const auto& [name, file, says] : malformed()) {
    const auto message = message_of(file);
    EXPECT_NE(message.find(says), std::string::npos) << name << ": " << message;
    EXPECT_EQ(message.find("x.gguf"), 0u) << name << ": " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << name;
  }
}

TEST(GgufHeader, RefusesEveryTruncation) {
  auto file = GgufBytes::begin(1, 2);
  file.text("a").u32(kArray).u32(kString).u64(2).text("one").text("two").text("b").u32(kF32).put(1.0f);
  file.tensor("w", {32, 2}, 8, 0).align().fill(68);
  EXPECT_EQ(message_of(file), "");
  for (size_t size = 0; size < file.bytes.size(); ++size)
    EXPECT_NE(message_of({file.bytes.substr(0, size)}), "") << size;
}

}  // namespace
}  // namespace formwork
