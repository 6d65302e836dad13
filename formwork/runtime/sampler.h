// Drawing the next token from logits, as decode/sample.cpp does, one row at a time and without memory of its
// own growing: the same seed, row and step draw the same token.
#pragma once
#include <span>
#include <vector>

#include "formwork/decode/sample_options.h"

namespace formwork::runtime {

// The most probable token; of equals, the first.
int64_t greedy(std::span<const float> logits);

class Sampler {
 public:
  explicit Sampler(const SampleOptions& options) : options_(options) {}
  // `written`: the tokens so far, for the repetition penalty.
  int64_t draw(std::span<const float> logits, std::span<const int64_t> written, uint64_t seed, int64_t row,
               uint64_t step);

 private:
  struct Candidate {
    double weight;  // exp((logit - the greatest) / temperature)
    int64_t token;
  };
  void weigh(std::span<const float> logits, std::span<const int64_t> written);
  const Candidate& pop();
  double keep_top();
  bool kept(size_t index, double before, double total) const;

  SampleOptions options_;
  std::vector<Candidate> heap_;  // the candidates that are left, and behind them, from the end, those taken
  size_t left_ = 0;
  std::vector<double> values_;
};

}  // namespace formwork::runtime
