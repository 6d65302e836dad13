#include "formwork/tap/transfer.h"

namespace formwork {
namespace {

Init transfer_identity() {
  return {"identity", [](Tensor& w, at::Generator) {
            w.copy_(at::eye(w.size(0), w.size(1), w.options().requires_grad(false)));
          }};
}

}  // namespace

TransferAttachment::TransferAttachment(Build& build, const Options& options)
    : options_(options), path_(build.path()) {
  if (!path_.ends_with("stream.attached"))
    fail("{}: drafts enter a stream between blocks, at a tap such as 'layers.0.channel.stream'", path_);
  const bool linear = options.map == "linear";
  if (!linear) build.restrict(build.in, Group::permute, "each channel of a transfer bends alone");
  LinearNeed need;
  need.role = Role::transfer, need.in = build.in, need.out = build.in, need.bias = true;
  need.init = linear ? transfer_identity() : init::zeros();
  for (int64_t i = options.first; i <= last(); ++i)
    maps_.push_back(make_linear(build, fmt::format("{}", i), need));
}

Tensor TransferAttachment::draft(Context& ctx, int64_t i, const Tensor& anchors) const {
  const auto y = maps_[static_cast<size_t>(i - options_.first)]->forward(ctx, anchors);
  return options_.map == "linear" ? y : anchors + at::silu(y);
}

Tensor TransferAttachment::forward(Context& ctx, const Tensor& x) {
  if (!ctx.layout || !ctx.layout->anchors.defined()) return x;
  const auto& layout = *ctx.layout;
  const int64_t most = std::min(last(), ctx.choice("drafts", last()));
  if (most < options_.first) return x;
  if (layout.drafts != options_.first - 1)
    fail(
        "{}: drafts from {} on enter here, so expected {} before them in the stream, found {}; later drafts "
        "enter at the same block or at later ones, once each",
        path_, options_.first, options_.first - 1, layout.drafts);
  const auto index = layout.anchors.expand({x.size(0), -1}).unsqueeze(-1).expand({-1, -1, x.size(2)});
  const auto anchors = x.gather(1, index);
  std::vector<Tensor> tokens = {x};
  for (int64_t i = options_.first; i <= most; ++i)
    tokens.push_back(draft(ctx, i, anchors).to(x.scalar_type()));
  ctx.entered = layout.with_drafts(x.size(1), most - options_.first + 1);
  return at::cat(tokens, 1);
}

int64_t drafts_of(const Inventory& inventory) {
  int64_t most = 0;
  for (const auto& [slot, part] : inventory.attached)
    if (const auto* transfer = dynamic_cast<const TransferAttachment*>(part))
      most = std::max(most, transfer->last());
  return most;
}

FORMWORK_PART(Attachment, TransferAttachment, "transfer",
              "drafts of the next tokens enter the stream, each a map of the last token's state");

}  // namespace formwork
