// Scans whose states [B, L, E, N] become tensors, in chunks of tokens: only the states between chunks are
// kept, and the backward pass computes each chunk's own anew, the last chunk first. Memory for states is then
// that of one chunk, whatever L is. Source: the recomputation of Mamba: Linear-Time Sequence Modeling with
// Selective State Spaces (2023), section 3.3.2.
#pragma once
#include "formwork/mixers/recurrent/selective_scan.h"

namespace formwork {

// Tokens of a chunk.
inline constexpr int64_t kScanChunk = 64;

// y [B, l, E] without skip and gate, and the last state. Reads delta, A, B, C, x, h0 and zoh of a scan; W as
// in complex_scan, or undefined.
using ScanBody = std::pair<Tensor, Tensor> (*)(const SelectiveScan& scan, const Tensor& W);

// The same of any number of tokens, differentiable once.
std::pair<Tensor, Tensor> scan_in_chunks(const SelectiveScan& scan, const Tensor& W, ScanBody body);

}  // namespace formwork
