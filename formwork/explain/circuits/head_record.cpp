#include "formwork/explain/circuits/head_record.h"

namespace formwork {
namespace {

Stream started(Model& model, const Record& rows) {
  auto ctx = model.make_context();
  auto streams = model.start(ctx, rows);
  if (streams.size() != 1) fail("heads: expected a model of one stream, found {} streams", streams.size());
  return streams.begin()->second;
}

void check_rows(const Stream& stream) {
  const int64_t tokens = stream.x.size(1);
  if (stream.layout.packed()) fail("heads: expected rows in a batch, found packed rows");
  if (!stream.layout.lengths.defined()) return;
  const auto shortest = stream.layout.lengths.min().item<int64_t>();
  if (shortest != tokens)
    fail("heads: expected rows of one length, so that places mean the same in all, found {} to {} tokens",
         shortest, tokens);
}

const Tensor& logits_of(const Record& out) {
  const auto found = out.find("logits");
  if (found == out.end()) fail("heads: expected a model with a head that writes 'logits', found none");
  return found->second;
}

// Listens at the heads of a site for the length of one segment.
void listen_at(TapBoard& board, const HeadSite& site, HeadActivations& into) {
  const auto keep = [&](const HeadSlice& slice, Tensor& place) {
    if (slice.slot < 0) return;
    board.listen(slice.slot,
                 [&slice, &place, heads = site.heads()](Context&, const TapEvent&, const Tensor& x) {
                   place = of_heads(slice, x, heads);
                   return x;
                 });
  };
  keep(site.result, into.result), keep(site.query, into.query);
  keep(site.key, into.key), keep(site.value, into.value);
  if (site.weights >= 0)
    board.listen(site.weights, [&into](Context&, const TapEvent&, const Tensor& x) {
      into.weights = x;
      return x;
    });
}

}  // namespace

Layout repeated(const Layout& layout, int64_t times) {
  auto many = layout;
  for (Tensor* rows : {&many.lengths, &many.prefix, &many.positions})
    if (rows->defined()) *rows = at::cat(std::vector<Tensor>(static_cast<size_t>(times), *rows));
  return many;
}

Tensor last_token(const Tensor& logits) { return logits.dim() == 3 ? logits.select(1, -1) : logits; }

HeadRecord record_heads(Model& model, const std::vector<HeadSite>& sites, const Record& rows) {
  const at::NoGradGuard guard;
  auto stream = started(model, rows);
  check_rows(stream);
  stream.layout.lengths = Tensor(), stream.compaction = nullptr;  // rows are whole now
  HeadRecord record;
  record.layout = stream.layout, record.layers.resize(sites.size());
  Streams streams{{"residual", stream}};
  const auto last = static_cast<int64_t>(model.segments().size());
  for (int64_t i = 0; i < last; ++i) {
    record.inputs.push_back(streams.at("residual").x);
    auto board = model.make_board();
    for (size_t s = 0; s < sites.size(); ++s)
      if (sites[s].segment == i) listen_at(board, sites[s], record.layers[s]);
    auto ctx = model.make_context(&board);
    model.run(ctx, i, i + 1, streams);
  }
  auto ctx = model.make_context();
  Record out;
  model.finish(ctx, streams, out);
  record.logits = logits_of(out);
  return record;
}

std::vector<HeadActivations> head_means(const HeadRecord& record) {
  const auto mean = [](const Tensor& x) { return x.defined() ? x.mean(0) : x; };
  std::vector<HeadActivations> means;
  for (const auto& layer : record.layers)
    means.push_back({mean(layer.result), mean(layer.query), mean(layer.key), mean(layer.value), Tensor()});
  return means;
}

namespace {

// One batch of circuits, from the stream before the first layer.
Tensor ablated_batch(Model& model, const std::vector<HeadSite>& sites, const HeadRecord& record,
                     const std::vector<HeadActivations>& means, const Tensor& keep) {
  const int64_t circuits = keep.size(0), rows = record.rows();
  const int64_t first = sites.front().segment, last = static_cast<int64_t>(model.segments().size());
  Stream stream{record.inputs.at(static_cast<size_t>(first)).repeat({circuits, 1, 1}),
                repeated(record.layout, circuits), nullptr};
  Streams streams{{"residual", stream}};
  for (int64_t i = first; i < last; ++i) {
    auto board = model.make_board();
    for (size_t s = 0; s < sites.size(); ++s) {
      if (sites[s].segment != i) continue;
      const auto of_layer = keep.select(1, static_cast<int64_t>(s)).narrow(-1, 0, sites[s].heads());
      const auto kept = of_layer.repeat_interleave(rows, 0).unsqueeze(-1);
      board.listen(sites[s].result.slot, [&, s, kept](Context&, const TapEvent&, const Tensor& x) {
        const auto z = of_heads(sites[s].result, x, sites[s].heads());
        return at::where(kept, z, means[s].result).flatten(2);
      });
    }
    auto ctx = model.make_context(&board);
    model.run(ctx, i, i + 1, streams);
  }
  auto ctx = model.make_context();
  Record out;
  model.finish(ctx, streams, out);
  return logits_of(out).unflatten(0, {circuits, rows});
}

}  // namespace

Tensor ablated_logits(Model& model, const std::vector<HeadSite>& sites, const HeadRecord& record,
                      const std::vector<HeadActivations>& means, const Tensor& keep, int64_t chunk) {
  const at::NoGradGuard guard;
  std::vector<Tensor> parts;
  for (const auto& part : keep.split(chunk))
    parts.push_back(ablated_batch(model, sites, record, means, part));
  return at::cat(parts);
}

}  // namespace formwork
