#include "formwork/data/text_corpus.h"

#include "formwork/core/error.h"
#include "formwork/core/file.h"
#include "formwork/data/random.h"

namespace formwork {
namespace {

size_t split_point(std::string_view text, double fraction) {
  auto at = static_cast<size_t>(static_cast<double>(text.size()) * fraction);
  while (at > 0 && at < text.size() && (static_cast<uint8_t>(text[at]) & 0xC0) == 0x80) --at;
  return at;
}

TokenBatch empty_batch(int64_t rows, int64_t length) {
  return {at::zeros({rows, length}, at::kLong), at::full({rows, length}, ignored_target, at::kLong),
          at::zeros({rows}, at::kLong)};
}

// Row `row`: `count` tokens from stream[start] on, and those one later as targets.
void fill_row(TokenBatch& batch, int64_t row, const std::vector<int64_t>& stream, int64_t start,
              int64_t count) {
  const int64_t offset = row * batch.tokens.size(1);
  std::copy_n(stream.begin() + start, count, batch.tokens.mutable_data_ptr<int64_t>() + offset);
  std::copy_n(stream.begin() + start + 1, count, batch.targets.mutable_data_ptr<int64_t>() + offset);
  batch.lengths.mutable_data_ptr<int64_t>()[row] = count;
}

void require_shape(int64_t batch, int64_t length) {
  if (batch < 1 || length < 1)
    fail("expected a batch and a window length of at least 1, found {} and {}", batch, length);
}

}  // namespace

TextCorpus::TextCorpus(std::string_view text, const Tokenizer& tokenizer, double train_fraction) {
  if (!(train_fraction > 0 && train_fraction <= 1))
    fail("expected a training fraction in (0, 1], found {}", train_fraction);
  if (text.empty()) fail("expected a text, found an empty one");
  const size_t split = split_point(text, train_fraction);
  train_ = tokenizer.encode(text.substr(0, split));
  validation_ = tokenizer.encode(text.substr(split));
}

TextCorpus load_text_corpus(const std::filesystem::path& path, const Tokenizer& tokenizer,
                            double train_fraction) {
  const std::string text = read_file(path);
  if (text.empty()) fail("{}: expected a text, found an empty file", path.string());
  return TextCorpus(text, tokenizer, train_fraction);
}

TokenBatch random_windows(const std::vector<int64_t>& stream, int64_t batch, int64_t length, uint64_t seed,
                          int64_t step) {
  require_shape(batch, length);
  const int64_t places = static_cast<int64_t>(stream.size()) - length;
  if (places < 1)
    fail("expected at least {} tokens for windows of {}, found {}", length + 1, length, stream.size());
  TokenBatch result = empty_batch(batch, length);
  Random random{seed, static_cast<uint64_t>(step)};
  for (int64_t row = 0; row < batch; ++row) fill_row(result, row, stream, random.below(places), length);
  return result;
}

EvaluationWindows::EvaluationWindows(const std::vector<int64_t>& stream, int64_t batch, int64_t length)
    : stream_(stream), batch_(batch), length_(length) {
  require_shape(batch, length);
  if (stream.size() < 2) fail("expected at least 2 tokens to evaluate on, found {}", stream.size());
  windows_ = (static_cast<int64_t>(stream.size()) - 1 + length - 1) / length;
}

int64_t EvaluationWindows::batches() const { return (windows_ + batch_ - 1) / batch_; }

TokenBatch EvaluationWindows::operator[](int64_t index) const {
  if (index < 0 || index >= batches()) fail("expected a batch in [0, {}), found {}", batches(), index);
  const int64_t first = index * batch_, rows = std::min(batch_, windows_ - first);
  TokenBatch result = empty_batch(rows, length_);
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t start = (first + row) * length_;
    fill_row(result, row, stream_, start,
             std::min(length_, static_cast<int64_t>(stream_.size()) - 1 - start));
  }
  return result;
}

}  // namespace formwork
