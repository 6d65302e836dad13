// Hidden transfer: drafts of the next tokens enter a stream as further tokens. At the tap of a stream, the
// state h_n [D] of each anchor n (layout.anchors) becomes that of draft i,
//
//   h~_{n+i} = W_i h_n + b_i               map "linear"; W_i = I and b_i = 0 at first
//   h~_{n+i} = h_n + silu(W_i h_n + b_i)   map "residual"; W_i = 0 at first (Cai et al., "Medusa", 2024)
//
// x [B, T, D] -> [B, T + k A, D], i = first .. first + k - 1, for the A anchors of each row; core/layout.h
// says in which order. From there on drafts go through the model as tokens at positions n + i, which see what
// the anchor sees, the anchor and the drafts before them; no other token sees them. The head then reads the
// distribution of token n + i + 1 off draft i. In a pass without anchors the stream stays as it is.
// Source: Parallel Decoding via Hidden Transfer for Lossless Large Language Model Acceleration (2024).
#pragma once
#include "formwork/linear/linear_map.h"
#include "formwork/tap/attachment.h"

namespace formwork {

struct TransferOptions {
  int64_t first = 1, count = 1;
  std::string map = "linear";
  void describe(Fields& f) {
    f.integer("first", first, "the first draft that enters here", 1, 1024);
    f.integer("count", count, "drafts that enter here", 1, 1024);
    f.choice("map", map, {"linear", "residual"}, "linear: W h + b; residual: h + silu(W h + b)");
  }
};

class TransferAttachment final : public Attachment {
 public:
  using Options = TransferOptions;

  // Fails where the tap is not that of a stream between blocks.
  TransferAttachment(Build& build, const Options& options);
  // The choice "drafts" of a pass leaves out those after it. Fails where the drafts before `first` are not in
  // the stream.
  Tensor forward(Context& ctx, const Tensor& x) override;

  int64_t last() const { return options_.first + options_.count - 1; }

 private:
  Tensor draft(Context& ctx, int64_t i, const Tensor& anchors) const;

  Options options_;
  std::string path_;
  std::vector<std::unique_ptr<LinearMap>> maps_;
};

// Drafts of each anchor that the transfers attached to a model give; 0 where it has none.
int64_t drafts_of(const Inventory& inventory);

}  // namespace formwork
