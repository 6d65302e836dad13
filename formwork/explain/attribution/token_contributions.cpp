#include "formwork/explain/attribution/token_contributions.h"

#include "formwork/core/facet.h"
#include "formwork/explain/circuits/head_record.h"

namespace formwork {

std::vector<int64_t> real_places(const Record& batch, int64_t row) {
  const auto mask = batch.find("attention_mask");
  if (mask == batch.end()) return {};
  const auto places = mask->second[row].nonzero().flatten().to(at::kCPU, at::kLong).contiguous();
  return {places.const_data_ptr<int64_t>(), places.const_data_ptr<int64_t>() + places.numel()};
}

Record real_row(const Record& batch, int64_t row) {
  const auto places = real_places(batch, row);
  const auto mask = batch.find("attention_mask");
  Record one;
  for (const auto& [name, value] : batch) {
    if (name == "attention_mask") continue;
    one[name] = value.narrow(0, row, 1);
    if (mask != batch.end() && value.sizes() == mask->second.sizes())
      one[name] = one[name].index_select(1, at::tensor(places, at::kLong).to(value.device()));
  }
  return one;
}

std::vector<Places> blocks_of(int64_t count, int64_t size) {
  std::vector<Places> blocks;
  for (int64_t i = 0; i < count; ++i) {
    if (i % size == 0) blocks.emplace_back();
    blocks.back().push_back(i);
  }
  return blocks;
}

namespace {

// The first segment of a layer.
int64_t segment_of(const Model& model, int64_t layer) {
  const auto segments = model.segments();
  const auto prefix = fmt::format("layers.{}.", layer);
  for (size_t i = 0; i < segments.size(); ++i)
    if (segments[i].starts_with(prefix)) return static_cast<int64_t>(i);
  fail("split at level {}: expected a layer of the model, whose segments are: {}", layer,
       fmt::join(segments, ", "));
}

// [N, 1, T, 1] bool: the tokens of each source.
Tensor marks_of(const std::vector<Places>& sources, int64_t tokens) {
  auto marks = at::zeros({static_cast<int64_t>(sources.size()), tokens, 1}, at::kBool);
  for (size_t n = 0; n < sources.size(); ++n)
    for (const int64_t place : sources[n]) {
      if (place < 0 || place >= tokens)
        fail("source {}: expected tokens from 0 to {}, found {}", n, tokens - 1, place);
      marks[static_cast<int64_t>(n)][place][0] = true;
    }
  return marks;
}

// Label and foil, the greatest logits where the options leave them open.
void choose(const Tensor& logits, const TokenOptions& options, TokenScores& scores) {
  const int64_t classes = logits.size(0);
  for (const auto& [name, id] : {std::pair("label", options.label), std::pair("foil", options.foil)})
    if (id && (*id < 0 || *id >= classes))
      fail("{}: expected one from 0 to {}, found {}", name, classes - 1, *id);
  scores.label = options.label.value_or(logits.argmax().item<int64_t>());
  auto others = logits.clone();
  others[scores.label] = -std::numeric_limits<double>::infinity();
  scores.foil = options.foil.value_or(others.argmax().item<int64_t>());
  if (scores.label == scores.foil)
    fail("label and foil: expected two that differ, found {} for both", scores.label);
  scores.difference = (logits[scores.label] - logits[scores.foil]).item<double>();
}

}  // namespace

TokenScores token_contributions(Model& model, const Record& row, const std::vector<Places>& sources,
                                const TokenOptions& options) {
  const at::NoGradGuard guard;
  auto& view = require_facet<SplitModelFacet>(model, "model", model.spec().model.type);
  const int64_t first = segment_of(model, options.level),
                last = static_cast<int64_t>(model.segments().size());
  const auto record = record_heads(model, {}, row);
  const auto logits = last_token(record.logits)[0];
  TokenScores result;
  choose(logits, options, result);
  const auto& start = record.inputs[static_cast<size_t>(first)];
  const auto marks = marks_of(sources, record.tokens());
  for (const auto& part : marks.split(options.chunk)) {
    auto ctx = model.make_context();
    const auto layout = repeated(record.layout, part.size(0));
    const LayoutScope scope(ctx, layout);
    SplitPass pass(ctx, model.inventory(), options.rules);
    const auto nothing = at::zeros_like(start);
    auto x =
        view.carry(pass, first, last, {at::where(part, start, nothing), at::where(part, nothing, start)});
    x = view.finish(pass, x);
    const auto relevant = last_token(x.relevant);
    const auto found = (relevant.select(1, result.label) - relevant.select(1, result.foil)).to(at::kDouble);
    for (int64_t n = 0; n < found.size(0); ++n) result.scores.push_back(found[n].item<double>());
    result.error = std::max(result.error, (last_token(x.whole()) - logits).abs().max().item<double>());
  }
  return result;
}

}  // namespace formwork
