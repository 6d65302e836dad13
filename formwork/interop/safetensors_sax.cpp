#include "formwork/interop/safetensors_sax.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <set>

#include "formwork/core/error.h"

namespace formwork {
namespace {

using PlainJson = nlohmann::json;

// Where the reader stands: what the next value belongs to.
enum class Level { kOutside, kHeader, kMetadata, kTensor, kShape, kOffsets };

class HeaderReader : public nlohmann::json_sax<PlainJson> {
 public:
  explicit HeaderReader(const std::string& path) : path_(path) {}
  SafetensorsHeader header;

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_float(double, const std::string& text) override { return unexpected("the number " + text); }
  bool binary(PlainJson::binary_t&) override { return unexpected("binary data"); }
  bool number_integer(int64_t value) override { return unexpected(fmt::format("the number {}", value)); }

  bool number_unsigned(uint64_t value) override {
    if (place_ == Level::kShape) {
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
        fail("{}: size {} in shape is too large", where(), value);
      }
      entry_.shape.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (place_ != Level::kOffsets) return unexpected(fmt::format("the number {}", value));
    if (offsets_ == 2) fail("{}: data_offsets has more than 2 numbers", where());
    (offsets_++ == 0 ? entry_.begin : entry_.end) = value;
    return true;
  }

  bool string(std::string& value) override {
    if (place_ == Level::kMetadata) {
      header.metadata.emplace(field_, value);
    } else if (place_ == Level::kTensor && field_ == "dtype") {
      entry_.dtype = value;
    } else {
      return unexpected("a string");
    }
    return true;
  }

  bool start_object(size_t) override {
    if (place_ == Level::kOutside) {
      place_ = Level::kHeader;
    } else if (place_ == Level::kHeader) {
      place_ = name_ == "__metadata__" ? Level::kMetadata : Level::kTensor;
      fields_.clear();
      entry_ = {};
      offsets_ = 0;
    } else {
      return unexpected("an object");
    }
    return true;
  }

  bool key(std::string& value) override {
    if (place_ == Level::kHeader) {
      name_ = value;
      if (!names_.insert(value).second) fail("{}: duplicate name '{}'", path_, escaped(value));
      return true;
    }
    if (place_ == Level::kTensor && value != "dtype" && value != "shape" && value != "data_offsets") {
      fail("{}: unknown field '{}'; known: dtype, shape, data_offsets", where(), escaped(value));
    }
    field_ = value;
    if (!fields_.insert(value).second) fail("{}: duplicate field '{}'", where(), escaped(value));
    return true;
  }

  bool end_object() override {
    if (place_ == Level::kTensor) finish_tensor();
    place_ = place_ == Level::kHeader ? Level::kOutside : Level::kHeader;
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Level::kTensor || field_ == "dtype") return unexpected("an array");
    place_ = field_ == "shape" ? Level::kShape : Level::kOffsets;
    return true;
  }

  bool end_array() override {
    place_ = Level::kTensor;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const PlainJson::exception& error) override {
    // Of nlohmann's message only the reason after the position is kept.
    const std::string_view message = error.what();
    const size_t reason = message.find(": ");
    fail("{}: bad JSON at header byte {}: {}", path_, position,
         escaped(message.substr(reason == std::string_view::npos ? 0 : reason + 2)));
  }

 private:
  std::string where() const { return fmt::format("{}: tensor '{}'", path_, escaped(name_)); }

  bool unexpected(const std::string& found) const {
    switch (place_) {
      case Level::kOutside:
        fail("{}: header is {}, expected an object", path_, escaped(found));
      case Level::kHeader:
        fail("{}: expected an object, found {}", where(), escaped(found));
      case Level::kMetadata:
        fail("{}: metadata '{}' must be a string, found {}", path_, escaped(field_), escaped(found));
      case Level::kTensor:
        fail("{}: {} cannot be {}", where(), field_, escaped(found));
      case Level::kShape:
      case Level::kOffsets:
        break;
    }
    fail("{}: {} must hold whole numbers >= 0, found {}", where(), field_, escaped(found));
  }

  void finish_tensor() {
    for (const char* field : {"dtype", "shape", "data_offsets"}) {
      if (!fields_.contains(field)) fail("{}: field '{}' is missing", where(), field);
    }
    if (offsets_ != 2) fail("{}: data_offsets has {} numbers, expected 2", where(), offsets_);
    header.entries.emplace(name_, std::move(entry_));
  }

  const std::string& path_;
  Level place_ = Level::kOutside;
  std::string name_, field_;
  std::set<std::string> names_, fields_;
  SafetensorsEntry entry_;
  int offsets_ = 0;
};

}  // namespace

SafetensorsHeader read_safetensors_json(std::string_view text, const std::string& path) {
  // The parser takes a zero byte for the end of the text.
  const size_t zero = text.find('\0');
  if (zero != std::string_view::npos) fail("{}: bad JSON at header byte {}: zero byte", path, zero + 1);
  HeaderReader reader(path);
  PlainJson::sax_parse(text.begin(), text.end(), &reader);
  return std::move(reader.header);
}

}  // namespace formwork
