// MalformedHeader headers: each violation is one line that names the file and what is wrong.
#include "formwork/interop/safetensors_header.h"

#include <gtest/gtest.h>

#include <random>

#include "interop/safetensors_bytes.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

SafetensorsHeader parse(const std::string& bytes) { return parse_safetensors_header(bytes, "file"); }

std::string tensor(const std::string& name, const std::string& dtype, const std::string& shape,
                   const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":[" + shape + "],\"data_offsets\":[" +
         offsets + "]}";
}

struct MalformedHeader {
  const char* what;
  std::string bytes;
  std::string message;  // a part of it
};

std::vector<MalformedHeader> malformed_headers() {
  const auto f = [](const std::string& header, size_t data) { return safetensors_bytes(header, data); };
  const auto one = [&](const std::string& dtype, const std::string& shape, const std::string& offsets) {
    return f("{" + tensor("a", dtype, shape, offsets) + "}", 8);
  };
  return {
      {"empty", "", "empty file"},
      {"short", "abc", "3 bytes, a safetensors file has at least 8"},
      {"lfs pointer", "version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"},
      {"header beyond file", length_word(100) + "{}", "header of 100 bytes, but only 2 follow"},
      {"header too large", length_word(100'000'001) + "{}", "header of 100000001 bytes, at most 100000000"},
      {"header near 2^63", length_word((uint64_t{1} << 63) - 1) + "{}", "header of 9223372036854775807"},
      {"header near 2^64", length_word(~uint64_t{0}) + "{}", "header of 18446744073709551615"},
      {"no header", length_word(0), "not a JSON object"},
      {"array", f("[]", 0), "not a JSON object"},
      {"leading space", f(" {}", 0), "not a JSON object"},
      {"unfinished JSON", f("{\"a\":", 0), "bad JSON at header byte"},
      {"two values", f("{}{}", 0), "bad JSON at header byte 3"},
      {"padded with zeros", f(std::string("{}\0\0", 4), 0), "bad JSON at header byte 3"},
      {"bad UTF-8", f("{\"\xff\":{}}", 0), "UTF-8"},
      {"lone surrogate", f("{\"\\ud800\":{}}", 0), "surrogate"},
      {"huge number", f("{\"a\":1e999}", 0), "bad JSON"},
      {"duplicate name",
       f("{" + tensor("a", "U8", "", "0,1") + "," + tensor("\\u0061", "U8", "", "1,2") + "}", 2),
       "duplicate name 'a'"},
      {"duplicate field", f("{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 0), "duplicate field 'dtype'"},
      {"duplicate metadata", f("{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}", 0), "duplicate field 'a'"},
      {"unknown field", f("{\"a\":{\"type\":\"U8\"}}", 0), "unknown field 'type'"},
      {"missing field", f("{\"a\":{\"dtype\":\"U8\",\"shape\":[]}}", 0), "field 'data_offsets' is missing"},
      {"tensor is a number", f("{\"a\":1}", 0), "tensor 'a': expected an object, found the number 1"},
      {"metadata is a number", f("{\"__metadata__\":{\"a\":1}}", 0), "metadata 'a' must be a string"},
      {"dtype is a list", f("{\"a\":{\"dtype\":[]}}", 0), "dtype cannot be an array"},
      {"nested shape", one("U8", "[8]", "0,8"), "shape must hold whole numbers >= 0, found an array"},
      {"deep nesting", f("{\"a\":" + std::string(1'000'000, '['), 0), "expected an object, found an array"},
      {"negative size", one("U8", "-8", "0,8"), "found the number -8"},
      {"fractional size", one("U8", "8.0", "0,8"), "found the number 8.0"},
      {"size above 2^63", one("U8", "9223372036854775808", "0,8"), "is too large"},
      {"size above 2^64", one("U8", "18446744073709551616", "0,8"), "found the number 18446744073709551616"},
      {"product overflows", one("F32", "4294967296,4294967296", "0,0"), "63 bits"},
      {"product wraps to 8", one("U8", "4611686018427387905,8", "0,8"), "63 bits"},
      {"overflow beside a zero", one("F32", "9223372036854775807,9223372036854775807,0", "0,0"), "63 bits"},
      {"bytes overflow", one("F64", "1152921504606846976", "0,0"), "63 bits"},
      {"65 dimensions",
       one(
           "U8",
           [] {
             std::string s = "8";
             for (int i = 0; i < 64; ++i) s += ",1";
             return s;
           }(),
           "0,8"),
       "65 dimensions"},
      {"unknown dtype", one("F33", "2", "0,8"), "unknown dtype 'F33'; did you mean 'F32'?"},
      {"dtype in small letters", one("bf16", "4", "0,8"), "unknown dtype 'bf16'"},
      {"size disagrees", one("F32", "3", "0,8"), "needs 12 bytes, data_offsets [0, 8] give 8"},
      {"backwards", one("U8", "8", "8,0"), "run backwards"},
      {"one offset", one("U8", "8", "0"), "data_offsets has 1 numbers"},
      {"three offsets", one("U8", "8", "0,8,8"), "more than 2"},
      {"out of range", one("U8", "9", "0,9"), "end beyond the 8 bytes of data"},
      {"far out of range", one("U8", "8", "18446744073709551607,18446744073709551615"), "end beyond"},
      {"trailing data", one("U8", "7", "0,7"), "data bytes 7 to 8 after 'a' belong to no tensor"},
      {"hole before", one("U8", "7", "1,8"), "data bytes 0 to 1 between the header and 'a'"},
      {"hole between", f("{" + tensor("a", "U8", "2", "0,2") + "," + tensor("b", "U8", "2", "4,6") + "}", 6),
       "data bytes 2 to 4 between 'a' and 'b'"},
      {"overlap", f("{" + tensor("a", "U8", "4", "0,4") + "," + tensor("b", "U8", "4", "2,6") + "}", 6),
       "tensors 'a' and 'b' overlap at data byte 2"},
      {"same range", f("{" + tensor("a", "U8", "4", "0,4") + "," + tensor("b", "U8", "4", "0,4") + "}", 4),
       "overlap"},
      {"no tensors but data", f("{}", 1), "data bytes 0 to 1 after the header"},
  };
}

TEST(SafetensorsHeader, EveryMalformedFileIsOneLineThatNamesTheFile) {
  for (const auto& item : malformed_headers()) {
    const auto message = error_of([&] { parse(item.bytes); });
    EXPECT_NE(message.find(item.message), std::string::npos) << item.what << ": " << message;
    EXPECT_TRUE(message.starts_with("file: ")) << item.what << ": " << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << item.what << ": " << message;
    EXPECT_LT(message.size(), 400u) << item.what;
  }
}

TEST(SafetensorsHeader, ScalarsAndEmptyTensorsAreFine) {
  const auto header = parse(safetensors_bytes("{" + tensor("scalar", "F32", "", "0,4") + "," +
                                                  tensor("none", "F64", "3,0,2", "4,4") + "," +
                                                  tensor("zero", "F64", "0", "0,0") + "}   ",
                                              4));
  EXPECT_EQ(header.entries.size(), 3u);
  EXPECT_TRUE(header.entries.at("scalar").shape.empty());
  EXPECT_EQ(header.entries.at("none").shape, (std::vector<int64_t>{3, 0, 2}));
  EXPECT_TRUE(parse(safetensors_bytes("{}", 0)).entries.empty());
  EXPECT_EQ(parse(safetensors_bytes("{\"__metadata__\":{\"k\":\"v\"}}", 0)).metadata.at("k"), "v");
}

TEST(SafetensorsHeader, FormattedHeadersParseBack) {
  std::vector<SafetensorsSlot> slots{
      {"b", {"U8", {3}}}, {"a", {"F64", {2, 2}}}, {"\"\\\n\u00e9", {"BF16", {}}}, {"A", {"F64", {0}}}};
  auto bytes = format_safetensors_header(slots, {{"k\t", "v"}}, "file");
  EXPECT_EQ(bytes.size() % 8, 0u);
  const auto header = parse(bytes + std::string(3 + 32 + 2, '\0'));
  EXPECT_EQ(header.data_start, bytes.size());
  EXPECT_EQ(header.metadata.at("k\t"), "v");
  EXPECT_EQ(header.entries.at("A").begin, 0u);
  EXPECT_EQ(header.entries.at("a").end, 32u);
  EXPECT_EQ(header.entries.at("\"\\\n\u00e9").begin, 32u);
  EXPECT_EQ(header.entries.at("b").begin, 34u);
}

// Mutations of a valid file: flipped, removed, doubled and spliced bytes, tokens that break formats. Every
// one is accepted or is an Error; sanitizer builds see any byte read out of bounds.
TEST(SafetensorsHeader, MutatedFilesNeverCrash) {
  std::vector<SafetensorsSlot> slots{{"layers.0.weight", {"F32", {2, 3}}},
                                     {"layers.0.bias", {"BF16", {3}}},
                                     {"step", {"I64", {}}},
                                     {"mask", {"BOOL", {0, 5}}}};
  const auto header_bytes = format_safetensors_header(slots, {{"format", "pt"}}, "file");
  const std::string valid = header_bytes + std::string(24 + 6 + 8, '\1');
  const std::vector<std::string> tokens{"{",
                                        "}",
                                        "[",
                                        "]",
                                        ",",
                                        ":",
                                        "\"",
                                        "-1",
                                        "0",
                                        "1e400",
                                        "18446744073709551615",
                                        "9223372036854775807",
                                        "null",
                                        "true",
                                        "\xff",
                                        "\\u0000",
                                        "\\ud800",
                                        "F8_E4M3",
                                        "\"__metadata__\":{",
                                        "\"shape\":[",
                                        std::string(1, '\0')};
  std::mt19937_64 random(7);
  const auto below = [&](size_t n) { return static_cast<size_t>(random() % n); };
  int accepted = 0, refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = valid;
    for (size_t edits = 1 + below(3); edits > 0 && bytes.size() > 8; --edits) {
      const size_t at = 8 + below(header_bytes.size() - 8);
      if (at >= bytes.size()) continue;
      switch (below(5)) {
        case 0:
          bytes[at] = static_cast<char>(random());
          break;
        case 1:
          bytes.erase(at, 1 + below(12));
          break;
        case 2:
          bytes.insert(at, tokens[below(tokens.size())]);
          break;
        case 3:
          bytes.insert(at, valid.substr(8 + below(100), below(60)));
          break;
        case 4:
          bytes[at] = static_cast<char>('0' + below(10));
          break;
      }
    }
    // Mostly a matching length word, so that the mutation reaches the parser; sometimes a wild one.
    uint64_t length = bytes.size() - std::min<size_t>(bytes.size(), valid.size() - header_bytes.size() + 8);
    if (below(10) == 0) length = random() >> below(64);
    std::memcpy(bytes.data(), &length, 8);
    try {
      const auto header = parse(bytes);
      ++accepted;
      for (const auto& item : header.entries) {
        ASSERT_LE(header.data_start + item.second.end, bytes.size());
      }
    } catch (const Error& error) {
      ++refused;
      ASSERT_EQ(std::string_view(error.what()).find('\n'), std::string_view::npos) << error.what();
    }
  }
  EXPECT_GT(accepted, 100);
  EXPECT_GT(refused, 10'000);
}

}  // namespace
}  // namespace formwork
