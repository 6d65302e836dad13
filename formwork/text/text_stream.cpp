#include "formwork/text/text_stream.h"

#include "formwork/text/unicode/utf8.h"

namespace formwork {

std::string TextStream::add(int64_t id) {
  ids_.push_back(id);
  return take(false);
}

std::string TextStream::finish() { return take(true); }

// The new text is what the newer ids add to the decoding of those before them, since decoders look at
// neighbours (a leading space is dropped only at the start). An unfinished character shows as cut-off bytes,
// or as U+FFFD where single bytes are decoded.
std::string TextStream::take(bool all) {
  const std::vector<int64_t> before(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(told_));
  const std::string old = tokenizer_.decode(before, skip_special_);
  const std::string now = tokenizer_.decode(ids_, skip_special_);
  if (now.size() <= old.size()) return "";
  const std::string fresh = now.substr(old.size());
  const bool unfinished = finished_utf8(fresh) != fresh.size() || fresh.ends_with("\xEF\xBF\xBD");
  constexpr size_t longest_wait = 8;  // tokens; then the bytes will never be a character
  if (unfinished && !all && ids_.size() - told_ < longest_wait) return "";
  ids_.erase(ids_.begin(), ids_.begin() + static_cast<std::ptrdiff_t>(told_));
  told_ = ids_.size();
  return fresh;
}

}  // namespace formwork
