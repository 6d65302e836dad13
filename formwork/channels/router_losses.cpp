#include "formwork/channels/router_losses.h"

namespace formwork {
namespace {

Tensor mean_log(const Tensor& mean) { return (mean * (mean + 1e-8).log()).sum(); }  // -H(m)

}  // namespace

Tensor mutual_information_loss(const Tensor& logits) {
  const auto log_p = logits.log_softmax(-1), p = log_p.exp();
  // A module behind a mask has p = 0 and log p = -inf; its term is 0.
  const auto terms = p * log_p.masked_fill(p.eq(0), 0);
  return mean_log(p.mean(0)) - terms.sum(-1).mean();
}

Tensor concentration_loss(const Tensor& logits) { return -mean_log(logits.softmax(-1).mean(0)); }

Tensor switch_balance_loss(const Tensor& logits, const Tensor& modules) {
  const int64_t n = logits.size(-1);
  const auto share =
      modules.flatten().bincount({}, n).to(logits.scalar_type()) / static_cast<double>(modules.numel());
  return (share * logits.softmax(-1).mean(0)).sum() * static_cast<double>(n);
}

Tensor router_z_loss(const Tensor& logits) { return logits.logsumexp({-1}).square().mean(); }

}  // namespace formwork
