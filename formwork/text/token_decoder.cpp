#include "formwork/text/token_decoder.h"

#include <functional>

#include "formwork/text/by_type.h"
#include "formwork/text/pre_tokenizers/metaspace.h"
#include "formwork/text/text_pattern.h"
#include "formwork/text/unicode/byte_level.h"
#include "formwork/text/unicode/utf8.h"

namespace formwork {
namespace {

using nlohmann::json;
using MadeDecoder = std::unique_ptr<TokenDecoder>;
using Texts = std::vector<std::string>;

// "a b a", "a", "c" -> "c b c"
void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

class ByteLevelDecoder final : public TokenDecoder {
 public:
  void decode(Texts& texts) const override {
    for (std::string& text : texts)
      if (auto bytes = from_byte_level(text)) text = std::move(*bytes);
  }
};

// Runs of byte tokens become their text, or one U+FFFD a byte when they are not UTF-8.
class ByteFallback final : public TokenDecoder {
 public:
  void decode(Texts& texts) const override {
    Texts result;
    std::string run;
    const auto flush = [&] {
      if (is_utf8(run)) {
        if (!run.empty()) result.push_back(run);
      } else {
        for (size_t i = 0; i < run.size(); ++i) result.emplace_back("\xEF\xBF\xBD");
      }
      run.clear();
    };
    for (std::string& text : texts) {
      const int byte = fallback_byte(text);
      if (byte >= 0) {
        run += static_cast<char>(byte);
      } else {
        flush();
        result.push_back(std::move(text));
      }
    }
    flush();
    texts.swap(result);
  }
};

class Fuse final : public TokenDecoder {
 public:
  void decode(Texts& texts) const override {
    std::string all;
    for (const std::string& text : texts) all += text;
    texts.assign(1, std::move(all));
  }
};

class ReplaceDecoder final : public TokenDecoder {
 public:
  ReplaceDecoder(const json& content, std::string_view where)
      : pattern_(field(content, "pattern", where), where), content_(text_field(content, "content", where)) {}
  void decode(Texts& texts) const override {
    for (std::string& text : texts)
      text = pattern_.replaced(pattern_.is_regex() ? utf8_replaced(text) : text, content_);
  }

 private:
  TextPattern pattern_;
  std::string content_;
};

// Removes up to `start` and `stop` copies of a character from the ends of each text.
class StripDecoder final : public TokenDecoder {
 public:
  StripDecoder(const json& content, std::string_view where)
      : content_(text_field(content, "content", where)),
        start_(count_field(content, "start", 0, where)),
        stop_(count_field(content, "stop", 0, where)) {
    if (content_.empty()) fail("{}: expected a StripDecoder decoder with one character, found none", where);
  }
  void decode(Texts& texts) const override {
    for (std::string& text : texts) {
      std::string_view rest = text;
      for (int64_t i = 0; i < start_ && rest.starts_with(content_); ++i) rest.remove_prefix(content_.size());
      for (int64_t i = 0; i < stop_ && rest.ends_with(content_); ++i) rest.remove_suffix(content_.size());
      text = std::string(rest);
    }
  }

 private:
  std::string content_;
  int64_t start_, stop_;
};

class MetaspaceDecoder final : public TokenDecoder {
 public:
  explicit MetaspaceDecoder(Metaspace options) : options_(std::move(options)) {}
  void decode(Texts& texts) const override {
    for (size_t i = 0; i < texts.size(); ++i) {
      const bool dropped = i == 0 && options_.scheme != Metaspace::Scheme::never;
      replace_all(texts[i], options_.replacement, dropped ? "" : " ");
    }
  }

 private:
  Metaspace options_;
};

class WordPieceDecoder final : public TokenDecoder {
 public:
  WordPieceDecoder(std::string prefix, bool cleanup) : prefix_(std::move(prefix)), cleanup_(cleanup) {}
  void decode(Texts& texts) const override {
    for (size_t i = 0; i < texts.size(); ++i) {
      if (i > 0) {
        if (texts[i].starts_with(prefix_))
          texts[i].erase(0, prefix_.size());
        else
          texts[i].insert(0, " ");
      }
      if (cleanup_) clean(texts[i]);
    }
  }

 private:
  static void clean(std::string& text) {
    constexpr std::pair<std::string_view, std::string_view> rules[] = {
        {" .", "."},   {" ?", "?"},           {" !", "!"},   {" ,", ","},     {" ' ", "'"},   {" n't", "n't"},
        {" 'm", "'m"}, {" do not", " don't"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"}};
    for (const auto& [from, to] : rules) replace_all(text, from, to);
  }

  std::string prefix_;
  bool cleanup_;
};

class BpeDecoder final : public TokenDecoder {
 public:
  explicit BpeDecoder(std::string suffix) : suffix_(std::move(suffix)) {}
  void decode(Texts& texts) const override {
    if (suffix_.empty()) return;
    for (size_t i = 0; i < texts.size(); ++i) replace_all(texts[i], suffix_, i + 1 < texts.size() ? " " : "");
  }

 private:
  std::string suffix_;
};

class DecoderSequence final : public TokenDecoder {
 public:
  explicit DecoderSequence(std::vector<MadeDecoder> parts) : parts_(std::move(parts)) {}
  void decode(Texts& texts) const override {
    for (const auto& part : parts_) part->decode(texts);
  }

 private:
  std::vector<MadeDecoder> parts_;
};

MadeDecoder make_decoder_sequence(const json& content, std::string_view where, int depth) {
  std::vector<MadeDecoder> parts;
  for (const json& part : list_field(content, "decoders", where))
    parts.push_back(make_token_decoder(part, where, depth + 1));
  return std::make_unique<DecoderSequence>(std::move(parts));
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

int fallback_byte(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  const int high = hex_digit(token[3]), low = hex_digit(token[4]);
  return high < 0 || low < 0 ? -1 : 16 * high + low;
}

std::unique_ptr<TokenDecoder> make_token_decoder(const json& content, std::string_view where, int depth) {
  constexpr int deepest = 8;
  if (depth > deepest) fail("{}: decoders are nested more than {} deep", where, deepest);
  const std::map<std::string, std::function<MadeDecoder()>> types = {
      {"ByteLevel", [] { return std::make_unique<ByteLevelDecoder>(); }},
      {"ByteFallback", [] { return std::make_unique<ByteFallback>(); }},
      {"Fuse", [] { return std::make_unique<Fuse>(); }},
      {"Replace", [&] { return std::make_unique<ReplaceDecoder>(content, where); }},
      {"Strip", [&] { return std::make_unique<StripDecoder>(content, where); }},
      {"Metaspace", [&] { return std::make_unique<MetaspaceDecoder>(Metaspace(content, where)); }},
      {"WordPiece",
       [&] {
         return std::make_unique<WordPieceDecoder>(text_field(content, "prefix", "##", where),
                                                   flag_field(content, "cleanup", true, where));
       }},
      {"BPEDecoder",
       [&] { return std::make_unique<BpeDecoder>(text_field(content, "suffix", "</w>", where)); }},
      {"Sequence", [&] { return make_decoder_sequence(content, where, depth); }},
  };
  return make_by_type(types, "decoder", content, where);
}

}  // namespace formwork
