// Beam search: at each step the `width` most probable continuations of each row stay. A continuation is
// scored by log p / length^penalty (Wu et al., 2016, without the coverage term). A row ends when it has
// `width` ended continuations and no open one scores higher at its present length than the worst of them.
#include "formwork/decode/decode_strategy.h"

namespace formwork {
namespace {

struct Beam {
  Continuation made;
  int64_t place = 0;  // its row in the decoder
};

// What is known of one row of the prompt.
struct Hypotheses {
  std::vector<Beam> open;
  std::vector<Continuation> ended;
};

class BeamSearch final : public DecodeStrategy {
 public:
  struct Options {
    int64_t width = 4;
    double penalty = 1;
    void describe(Fields& f) {
      f.integer("width", width, "continuations that stay at each step", 1, 1024);
      f.number("penalty", penalty, "power of the length that divides the log-probability", 0, 10);
    }
  };
  explicit BeamSearch(const Options& options) : options_(options) {}
  std::vector<Continuation> decode(Model& model, const DecodeRequest& request) const override;

 private:
  double score(const Continuation& made) const {
    return made.log_probability / std::pow(static_cast<double>(made.tokens.size()), options_.penalty);
  }
  bool better(const Continuation& a, const Continuation& b) const { return score(a) > score(b); }
  void extend(Hypotheses& row, const Tensor& log_probabilities, std::optional<int64_t> stop) const;
  bool is_done(const Hypotheses& row) const;
  Continuation best(Hypotheses& row) const;
  Options options_;
};

// The best 2 * width continuations: as many may end, and `width` open ones are left.
void BeamSearch::extend(Hypotheses& row, const Tensor& log_probabilities, std::optional<int64_t> stop) const {
  const int64_t vocab = log_probabilities.size(1);
  std::vector<Tensor> totals;
  for (const auto& beam : row.open)
    totals.push_back(log_probabilities[beam.place] + beam.made.log_probability);
  const auto total = at::cat(totals);
  const auto [values, indices] = total.topk(std::min(2 * options_.width, total.size(0)));
  std::vector<Beam> open;
  for (int64_t i = 0; i < values.size(0); ++i) {
    const auto index = indices[i].item<int64_t>();
    auto beam = row.open[static_cast<size_t>(index / vocab)];
    beam.made.tokens.push_back(index % vocab);
    beam.made.log_probability = values[i].item<double>();
    // Only what is among the best `width` may end here.
    if (index % vocab == stop) {
      if (i < options_.width) row.ended.push_back(beam.made);
    } else if (static_cast<int64_t>(open.size()) < options_.width) {
      open.push_back(std::move(beam));
    }
  }
  row.open = std::move(open);
  std::sort(row.ended.begin(), row.ended.end(), [&](const auto& a, const auto& b) { return better(a, b); });
  if (static_cast<int64_t>(row.ended.size()) > options_.width)
    row.ended.resize(static_cast<size_t>(options_.width));
}

bool BeamSearch::is_done(const Hypotheses& row) const {
  if (row.open.empty()) return true;
  return static_cast<int64_t>(row.ended.size()) == options_.width &&
         !better(row.open.front().made, row.ended.back());
}

Continuation BeamSearch::best(Hypotheses& row) const {
  auto all = std::move(row.ended);
  for (auto& beam : row.open) all.push_back(std::move(beam.made));
  return *std::max_element(all.begin(), all.end(),
                           [&](const auto& a, const auto& b) { return better(b, a); });
}

std::vector<Continuation> BeamSearch::decode(Model& model, const DecodeRequest& request) const {
  const at::NoGradGuard guard;
  Decoder decoder(model, request);
  std::vector<Hypotheses> rows(static_cast<size_t>(request.prompt.size(0)));
  for (size_t i = 0; i < rows.size(); ++i) rows[i].open = {{{}, static_cast<int64_t>(i)}};
  for (int64_t step = 0; step < request.tokens; ++step) {
    std::vector<int64_t> places, tokens;
    const auto next = decoder.log_probabilities();
    for (auto& row : rows) {
      if (row.open.empty()) continue;
      extend(row, next, request.stop);
      if (is_done(row)) row.open.clear();
      for (auto& beam : row.open) {
        places.push_back(beam.place), tokens.push_back(beam.made.tokens.back());
        beam.place = static_cast<int64_t>(places.size()) - 1;
      }
    }
    if (places.empty() || step + 1 == request.tokens) break;
    decoder.select(at::tensor(places, at::kLong));
    decoder.append(at::tensor(tokens, at::kLong));
  }
  std::vector<Continuation> made;
  made.reserve(rows.size());
  for (auto& row : rows) made.push_back(best(row));
  return made;
}

FORMWORK_PART(DecodeStrategy, BeamSearch, "beam", "the most probable continuations side by side");

}  // namespace
}  // namespace formwork
