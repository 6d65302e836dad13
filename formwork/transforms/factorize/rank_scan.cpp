#include "formwork/transforms/factorize/rank_scan.h"

namespace formwork {

RankScan scan_ranks(const std::map<std::string, int64_t>& types, const std::vector<double>& shares,
                    const std::function<double(const Shares&)>& log_perplexity) {
  RankScan scan;
  scan.dense = log_perplexity({});
  for (const auto& [type, parameters] : types)
    for (const double share : shares) scan.points.push_back({type, share, log_perplexity({{type, share}})});
  return scan;
}

namespace {

// The next step of each type on its way down.
struct Ladder {
  std::vector<ScanPoint> steps;
  size_t next = 0;
  double parameters = 0, share = 1, log_perplexity = 0;

  bool ended() const { return next == steps.size(); }
  double saves() const { return (share - steps[next].share) * parameters; }
  double costs() const { return steps[next].log_perplexity - log_perplexity; }
  void take() {
    share = steps[next].share, log_perplexity = steps[next].log_perplexity;
    ++next;
  }
};

}  // namespace

Shares choose_shares(const RankScan& scan, const std::map<std::string, int64_t>& types, double ratio) {
  std::map<std::string, Ladder> ladders;
  double all = 0, saved = 0;
  for (const auto& [type, parameters] : types) {
    auto& ladder = ladders[type];
    ladder.parameters = static_cast<double>(parameters), ladder.log_perplexity = scan.dense;
    all += ladder.parameters;
  }
  for (const auto& point : scan.points) ladders.at(point.type).steps.push_back(point);
  while (saved < ratio * all * (1 - 1e-12)) {
    Ladder* best = nullptr;
    for (auto& [type, ladder] : ladders)
      if (!ladder.ended() && (!best || ladder.costs() * best->saves() < best->costs() * ladder.saves()))
        best = &ladder;
    if (!best)
      fail("lord: the scan's smallest ranks save {:.3g} of the parameters, and {} was asked for", saved / all,
           ratio);
    saved += best->saves();
    best->take();
  }
  Shares shares;
  for (const auto& [type, ladder] : ladders)
    if (ladder.next > 0) shares[type] = ladder.share;
  return shares;
}

double log_perplexity(Model& model, const Calibration& data) {
  const at::NoGradGuard guard;
  if (!model.traits().causal)
    fail("perplexity: expected a causal language model (lord: allocation 'uniform' needs no perplexity)");
  double sum = 0;
  int64_t count = 0;
  for (const auto& batch : data.batches) {
    auto ctx = model.make_context();
    const auto out = model.forward(ctx, batch);
    const auto ids = batch.find("input_ids"), mask = batch.find("attention_mask");
    const auto logits = out.find("logits");
    if (ids == batch.end() || logits == out.end() || logits->second.dim() != 3)
      fail("perplexity: expected records with input_ids and logits [B, T, vocabulary] for them");
    const int64_t tokens = ids->second.size(1) - 1;
    if (tokens < 1) continue;
    const auto next = ids->second.narrow(1, 1, tokens).to(at::kLong);
    const auto wide = logits->second.narrow(1, 0, tokens).to(at::kDouble).log_softmax(-1);
    auto nats = -wide.gather(2, next.unsqueeze(2)).squeeze(2);
    if (mask != batch.end()) {
      const auto real = mask->second.ne(0);
      nats = nats.masked_select(real.narrow(1, 1, tokens).logical_and(real.narrow(1, 0, tokens)));
    }
    sum += nats.sum().item<double>(), count += nats.numel();
  }
  if (count == 0) fail("perplexity: no token of the data has one after it");
  return sum / static_cast<double>(count);
}

}  // namespace formwork
