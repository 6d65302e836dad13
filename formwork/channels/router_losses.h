// Losses on how a router shares tokens among n modules; p = softmax(logits), logits [N, n] of real tokens.
#pragma once
#include "formwork/core/tensor.h"

namespace formwork {

// H(m | x) - H(m): tokens choose sharply and modules are used alike; -ln n at best. Source: ModuleFormer:
// Modularity Emerges from Mixture-of-Experts (2023).
Tensor mutual_information_loss(const Tensor& logits);
// H(m): the load gathers on few modules, so that the others can be pruned. Same source.
Tensor concentration_loss(const Tensor& logits);
// n sum_m f_m mean(p_m), f the share of the choices [N, k]; 1 for an even load. Source: Switch Transformers
// (Fedus et al., 2021).
Tensor switch_balance_loss(const Tensor& logits, const Tensor& modules);
// mean (logsumexp logits)^2: logits stay small. Source: ST-MoE (Zoph et al., 2022).
Tensor router_z_loss(const Tensor& logits);

}  // namespace formwork
