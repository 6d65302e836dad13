// What memories hold that are written to without any training: pairs of random keys and values.
#pragma once
#include "formwork/studies/study.h"

namespace formwork {

// Least squares from the features of N random unit keys of 8 channels to N random values: mean squared errors
// at the number of features and one above it, for identity and degree 2; and what gradient descent on mlp2
// leaves of 44 pairs, by hidden units.
Json memory_capacity(uint64_t seed);

// Streams of 32 random unit pairs of 16 channels, read once by an inner rule with a constant rate (the best
// of 1 .. 0.01 for each), alpha = g = 1: the share of the last 16 keys whose answer is nearest to their
// value, with keys drawn freely and with keys that share half of their squared norm; and the inner loss that
// Muon and gradient descent leave in the window.
Json recall_without_training(uint64_t seed, int64_t streams);

}  // namespace formwork
