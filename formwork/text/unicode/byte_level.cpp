#include "formwork/text/unicode/byte_level.h"

#include "formwork/text/unicode/utf8.h"

namespace formwork {
namespace {

bool prints(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Tables {
  std::array<uint8_t, 256> alphabet{};
  std::array<uint32_t, 256> code_of_byte{};
  std::array<int, 512> byte_of_code{};
};

Tables make_tables() {
  Tables tables;
  tables.byte_of_code.fill(-1);
  int used = 0;
  const auto add = [&](int byte, uint32_t code) {
    tables.alphabet[used++] = static_cast<uint8_t>(byte);
    tables.code_of_byte[byte] = code;
    tables.byte_of_code[code] = byte;
  };
  for (int byte = 0; byte < 256; ++byte)
    if (prints(byte)) add(byte, byte);
  uint32_t spare = 256;
  for (int byte = 0; byte < 256; ++byte)
    if (!prints(byte)) add(byte, spare++);
  return tables;
}

const Tables& tables() {
  static const Tables result = make_tables();
  return result;
}

}  // namespace

const std::array<uint8_t, 256>& byte_alphabet() { return tables().alphabet; }

std::string to_byte_level(std::string_view bytes) {
  std::string printable;
  for (unsigned char byte : bytes) {
    const uint32_t code = tables().code_of_byte[byte];
    if (code < 0x80) {
      printable += static_cast<char>(code);
    } else {
      printable += static_cast<char>(0xC0 | code >> 6);
      printable += static_cast<char>(0x80 | (code & 0x3F));
    }
  }
  return printable;
}

std::optional<std::string> from_byte_level(std::string_view printable) {
  std::string bytes;
  for (size_t at = 0; at < printable.size();) {
    const CodePoint point = next_code_point(printable, at);
    if (point.code >= tables().byte_of_code.size() || tables().byte_of_code[point.code] < 0) return {};
    bytes += static_cast<char>(tables().byte_of_code[point.code]);
    at += point.bytes;
  }
  return bytes;
}

}  // namespace formwork
