#include "formwork/text/formats/sentencepiece_file.h"

#include <cstring>

#include "formwork/core/error.h"

namespace formwork {
namespace {

// One field of a message: a number (wire types 0, 1, 5) or bytes (wire type 2).
struct Field {
  uint64_t number = 0, value = 0;
  std::string_view bytes;
  int wire = 0;
};

class Message {
 public:
  Message(std::string_view bytes, std::string_view where) : bytes_(bytes), where_(where) {}

  bool next(Field& field) {
    if (bytes_.empty()) return false;
    const uint64_t key = varint();
    field = {key >> 3, 0, {}, static_cast<int>(key & 7)};
    switch (field.wire) {
      case 0:
        field.value = varint();
        break;
      case 1:
        field.value = fixed(8);
        break;
      case 2:
        field.bytes = take(varint());
        break;
      case 5:
        field.value = fixed(4);
        break;
      default:
        fail("{}: expected a SentencePiece model, found a field of wire type {}", where_, field.wire);
    }
    if (field.number == 0) fail("{}: expected a SentencePiece model, found a field without a number", where_);
    return true;
  }

 private:
  std::string_view take(uint64_t count) {
    if (count > bytes_.size())
      fail("{}: a field of {} bytes reaches past the end of the SentencePiece model", where_, count);
    const std::string_view taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }
  uint64_t fixed(size_t count) {
    uint64_t value = 0;
    std::memcpy(&value, take(count).data(), count);
    return value;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(take(1)[0]);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (!(byte & 0x80)) return value;
    }
    fail("{}: expected a SentencePiece model, found a number of more than 64 bits", where_);
  }

  std::string_view bytes_, where_;
};

float as_float(uint64_t bits) {
  const auto narrow = static_cast<uint32_t>(bits);
  float value;
  std::memcpy(&value, &narrow, sizeof(value));
  return value;
}

void require_wire(const Field& field, int wire, std::string_view where) {
  if (field.wire != wire)
    fail("{}: field {} of the SentencePiece model has wire type {}, expected {}", where, field.number,
         field.wire, wire);
}

void read_piece(std::string_view bytes, TokenizerParts& parts, std::string_view where) {
  Message message(bytes, where);
  std::string text;
  float score = 0;
  int32_t type = static_cast<int32_t>(TokenType::normal);
  for (Field field; message.next(field);) {
    if (field.number == 1) {
      require_wire(field, 2, where);
      text = field.bytes;
    } else if (field.number == 2) {
      require_wire(field, 5, where);
      score = as_float(field.value);
    } else if (field.number == 3) {
      require_wire(field, 0, where);
      if (field.value < 1 || field.value > 6)
        fail("{}: expected a piece type of 1 to 6, found {}", where, field.value);
      type = static_cast<int32_t>(field.value);
    }
  }
  parts.tokens.push_back(std::move(text));
  parts.scores.push_back(score);
  parts.types.push_back(type);
}

void read_trainer(std::string_view bytes, TokenizerParts& parts, std::string_view where) {
  constexpr uint64_t unigram = 1, bpe = 2;
  Message message(bytes, where);
  const auto id = [](uint64_t value) -> std::optional<int64_t> {
    const auto number = static_cast<int32_t>(value);
    return number < 0 ? std::nullopt : std::optional<int64_t>(number);
  };
  parts.special.unk = 0;
  parts.special.bos = 1;
  parts.special.eos = 2;
  for (Field field; message.next(field);) {
    if (field.number == 3) {
      if (field.value != unigram && field.value != bpe)
        fail("{}: expected a Unigram or BPE model, found one of words or characters", where);
      parts.model = field.value == bpe ? "llama" : "t5";
    }
    if (field.number == 40) parts.special.unk = id(field.value);
    if (field.number == 41) parts.special.bos = id(field.value);
    if (field.number == 42) parts.special.eos = id(field.value);
    if (field.number == 43) parts.special.pad = id(field.value);
  }
}

void read_normalizer(std::string_view bytes, TokenizerParts& parts, std::string_view where) {
  Message message(bytes, where);
  parts.remove_extra_whitespaces = true;
  for (Field field; message.next(field);) {
    if (field.number == 2) {
      require_wire(field, 2, where);
      parts.precompiled_charsmap = field.bytes;
    }
    if (field.number == 3) parts.add_space_prefix = field.value != 0;
    if (field.number == 4) parts.remove_extra_whitespaces = field.value != 0;
  }
}

}  // namespace

TokenizerParts parts_from_sentencepiece(std::string_view bytes, std::string_view where) {
  TokenizerParts parts;
  parts.model = "t5";
  Message message(bytes, where);
  for (Field field; message.next(field);) {
    if (field.number < 1 || field.number > 3) continue;
    require_wire(field, 2, where);
    if (field.number == 1) read_piece(field.bytes, parts, where);
    if (field.number == 2) read_trainer(field.bytes, parts, where);
    if (field.number == 3) read_normalizer(field.bytes, parts, where);
  }
  if (parts.tokens.empty()) fail("{}: expected a SentencePiece model, found no pieces", where);
  // Ids that the file names but has no piece for are none.
  for (auto* id : {&parts.special.unk, &parts.special.bos, &parts.special.eos, &parts.special.pad})
    if (*id && **id >= static_cast<int64_t>(parts.tokens.size())) id->reset();
  parts.add_bos = parts.add_eos = false;
  return parts;
}

}  // namespace formwork
