#include "formwork/explain/circuits/node_scores.h"

#include "formwork/core/facet.h"

namespace formwork {

namespace {

const HeadSlice& slice_at(const HeadSite& site, const std::string& place) {
  if (place == "query") return site.query;
  if (place == "key") return site.key;
  if (place == "value") return site.value;
  return site.result;
}

const Tensor& activation_at(const HeadActivations& layer, const std::string& place) {
  if (place == "query") return layer.query;
  if (place == "key") return layer.key;
  if (place == "value") return layer.value;
  return layer.result;
}

// [N, B, T, H, d] both.
Split by_head(const HeadSite& site, const HeadSlice& slice, const Split& x, int64_t rows) {
  const auto view = [&](const Tensor& side) {
    return of_heads(slice, side, site.heads()).unflatten(0, {-1, rows});
  };
  return {view(x.relevant), view(x.rest)};
}

}  // namespace

// Sources of one pass.
struct NodeScores::Chunk {
  const Node* nodes;
  int64_t count, first_segment;
};

NodeScores::NodeScores(Model& model, const std::vector<HeadSite>& sites, const HeadRecord& prompts,
                       const std::vector<HeadActivations>& means, SplitRules rules, SourceOptions options)
    : model_(model),
      view_(require_facet<SplitModelFacet>(model, "model", model.spec().model.type)),
      sites_(sites),
      prompts_(prompts),
      means_(means),
      rules_(std::move(rules)),
      options_(std::move(options)) {
  if (sites.empty()) fail("nodes: expected attention with heads, found none in this model");
  if (options_.inject == "mean" && means.empty())
    fail("nodes: inject 'mean' expects means of a reference set, found none");
  if (!means.empty() && means[0].result.size(0) != prompts.tokens())
    fail("nodes: expected means at the {} places of the prompts, found {}", prompts.tokens(),
         means[0].result.size(0));
}

int64_t NodeScores::sources_at_once() const {
  constexpr int64_t kRows = 64;
  return options_.chunk ? options_.chunk : std::max<int64_t>(1, kRows / prompts_.rows());
}

std::vector<Node> NodeScores::all() const {
  std::vector<Node> nodes;
  for (size_t layer = 0; layer < sites_.size(); ++layer)
    for (int64_t position = 0; position < prompts_.tokens(); ++position)
      for (int64_t head = 0; head < sites_[layer].heads(); ++head)
        nodes.push_back({static_cast<int64_t>(layer), position, head});
  return nodes;
}

void NodeScores::check(const Node& node, const std::string& what) const {
  const auto within = [&](const char* of, int64_t value, int64_t size) {
    if (value < 0 || value >= size)
      fail("{} [{}, {}, {}]: expected a {} from 0 to {}, found {}", what, node.layer, node.position,
           node.head, of, size - 1, value);
  };
  within("layer", node.layer, static_cast<int64_t>(sites_.size()));
  within("position", node.position, prompts_.tokens());
  within("head", node.head, sites_[static_cast<size_t>(node.layer)].heads());
}

void NodeScores::inject(SplitPass& pass, const Chunk& chunk, size_t layer) const {
  const auto& site = sites_[layer];
  pass.listen(site.result.slot, [this, &site, chunk, layer](Slot, const Split& x) {
    const int64_t rows = prompts_.rows();
    auto z = by_head(site, site.result, x, rows);
    z = {z.relevant.clone(), z.rest.clone()};
    for (int64_t n = 0; n < chunk.count; ++n) {
      const auto& node = chunk.nodes[n];
      if (node.layer != static_cast<int64_t>(layer)) continue;
      const auto at = [&](const Tensor& side) {
        return side[n].select(1, node.position).select(1, node.head);
      };
      const auto whole = at(z.relevant) + at(z.rest);
      const auto kept = options_.inject == "mean"
                            ? means_[layer].result[node.position][node.head].expand_as(whole)
                            : at::zeros_like(whole);
      at(z.relevant).copy_(whole - kept);
      at(z.rest).copy_(kept);
    }
    return Split{z.relevant.flatten(0, 1).flatten(2), z.rest.flatten(0, 1).flatten(2)};
  });
}

template <class Work>
void NodeScores::in_chunks(const std::vector<Node>& sources, const Work& work) {
  const at::NoGradGuard guard;
  const int64_t all = static_cast<int64_t>(sources.size()), step = sources_at_once();
  for (const auto& node : sources) check(node, "source");
  for (int64_t first = 0; first < all; first += step) {
    Chunk chunk{&sources[static_cast<size_t>(first)], std::min(step, all - first), 0};
    const auto earliest = std::min_element(chunk.nodes, chunk.nodes + chunk.count);
    chunk.first_segment = sites_[static_cast<size_t>(earliest->layer)].segment;
    auto ctx = model_.make_context();
    const auto layout = repeated(prompts_.layout, chunk.count);
    const LayoutScope scope(ctx, layout);
    work(ctx, chunk);
  }
}

template <class Listen>
Split NodeScores::carry(Context& ctx, const Chunk& chunk, int64_t last, const Listen& listen) {
  const auto rest = prompts_.inputs.at(static_cast<size_t>(chunk.first_segment)).repeat({chunk.count, 1, 1});
  Split x{at::zeros_like(rest), rest};
  // A pass for each segment, whose listeners know which layer they hear: loops deliver at the same taps.
  for (int64_t i = chunk.first_segment; i < last; ++i) {
    SplitPass pass(ctx, model_.inventory(), rules_);
    for (size_t layer = 0; layer < sites_.size(); ++layer) {
      if (sites_[layer].segment != i) continue;
      inject(pass, chunk, layer);
      listen(pass, layer);
    }
    x = view_.carry(pass, i, i + 1, x);
  }
  return x;
}

Split NodeScores::logits(const std::vector<Node>& sources) {
  const auto last = static_cast<int64_t>(model_.segments().size());
  std::vector<Tensor> relevant, rest;
  in_chunks(sources, [&](Context& ctx, const Chunk& chunk) {
    const auto x = carry(ctx, chunk, last, [](SplitPass&, size_t) {});
    SplitPass pass(ctx, model_.inventory(), rules_);
    const auto y = view_.finish(pass, x);
    relevant.push_back(last_token(y.relevant).unflatten(0, {chunk.count, -1}));
    rest.push_back(last_token(y.rest).unflatten(0, {chunk.count, -1}));
  });
  return {at::cat(relevant), at::cat(rest)};
}

Tensor NodeScores::read_one(const Node& target, const TargetRead& read, const Split& x) const {
  const auto layer = static_cast<size_t>(target.layer);
  const auto of_head = [&](const Tensor& side) { return side.select(3, target.head); };  // [N, B, T, d]
  const Split y{of_head(x.relevant), of_head(x.rest)};
  Tensor score;  // [N, B, T]
  if (read.score == "l1") {
    const auto relevant = y.relevant.abs().mean(-1), rest = y.rest.abs().mean(-1), both = relevant + rest;
    score = at::where(both > 0, relevant / both, at::zeros_like(both));
  } else {
    const auto mean = activation_at(means_[layer], read.place).select(1, target.head);
    score = (y.relevant * (y.whole() - mean)).sum(-1);
  }
  if (read.at == "own") return score.select(-1, target.position).mean(-1);
  const auto paid =
      prompts_.layers[layer].weights.select(1, target.head).select(1, target.position);  // [B, T]
  return (score * paid).sum(-1).mean(-1);
}

void NodeScores::check_read(const std::vector<Node>& sources, const std::vector<Node>& targets,
                            const TargetRead& read) const {
  const auto earliest = std::min_element(sources.begin(), sources.end());
  for (const auto& target : targets) {
    check(target, "target");
    if (earliest == sources.end() || earliest->layer >= target.layer)
      fail("target [{}, {}, {}]: expected a source in an earlier layer, found none before layer {}",
           target.layer, target.position, target.head, earliest == sources.end() ? 0 : earliest->layer);
    const auto layer = static_cast<size_t>(target.layer);
    if (slice_at(sites_[layer], read.place).slot < 0)
      fail("target read '{}': {} has no map of that role", read.place, sites_[layer].mixer);
    if (read.at == "attended" && !prompts_.layers[layer].weights.defined())
      fail("target read at 'attended': {} has no tap of its weights", sites_[layer].mixer);
  }
  if (read.at == "attended" && read.place != "key" && read.place != "value")
    fail("target read at 'attended' is of keys and values, found '{}'", read.place);
  if (read.score == "dot" && means_.empty())
    fail("target score 'dot' expects means of a reference set, found none");
}

Tensor NodeScores::at_targets(const std::vector<Node>& sources, const std::vector<Node>& targets,
                              const TargetRead& read) {
  check_read(sources, targets, read);
  const auto all = static_cast<int64_t>(sources.size()), count = static_cast<int64_t>(targets.size());
  const auto latest = std::max_element(targets.begin(), targets.end())->layer;
  auto scores = at::zeros({all, count}, prompts_.inputs.at(0).options());
  in_chunks(sources, [&](Context& ctx, const Chunk& chunk) {
    const auto rows = scores.narrow(0, chunk.nodes - sources.data(), chunk.count);
    carry(ctx, chunk, sites_[static_cast<size_t>(latest)].segment + 1, [&](SplitPass& pass, size_t layer) {
      const auto& slice = slice_at(sites_[layer], read.place);
      if (slice.slot < 0) return;
      pass.listen(slice.slot, [&, layer](Slot, const Split& x) {
        const auto heads = by_head(sites_[layer], slice_at(sites_[layer], read.place), x, prompts_.rows());
        for (int64_t m = 0; m < count; ++m)
          if (targets[static_cast<size_t>(m)].layer == static_cast<int64_t>(layer))
            rows.select(1, m).copy_(read_one(targets[static_cast<size_t>(m)], read, heads));
        return x;
      });
    });
  });
  for (int64_t n = 0; n < all; ++n)
    if (std::find(targets.begin(), targets.end(), sources[static_cast<size_t>(n)]) != targets.end())
      scores[n].zero_();
  return scores;
}

Tensor share_of_layer(const Tensor& scores, const std::vector<Node>& sources, const std::string& sum) {
  std::vector<int64_t> layers;
  for (const auto& node : sources) layers.push_back(node.layer);
  const auto index = at::tensor(layers, at::kLong);
  const auto size = index.max().item<int64_t>() + 1;
  auto sums =
      at::zeros({size}, scores.options()).index_add(0, index, sum == "signed" ? scores : scores.abs());
  constexpr double kFloor = 1e-8;
  sums = at::where(sums == 0, at::full_like(sums, sum == "signed" ? -kFloor : kFloor), sums);
  return scores / sums.index_select(0, index);
}

}  // namespace formwork
