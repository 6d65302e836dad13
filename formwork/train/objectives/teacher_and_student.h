// What objectives that compare a student with its teacher layer by layer share.
#pragma once
#include "formwork/train/objective.h"

namespace formwork {

struct SitePair {
  MixingSite student, teacher;
};

// The student's mixers that train, each with the teacher's at the same place. Fails where the two stacks have
// not the same number of mixers or streams of different widths, or where no mixer trains.
std::vector<SitePair> paired_sites(const Model& student, const Model& teacher);

// Sum over real tokens of |a - b|, the Euclidean norm over channels: a, b [B, T, D] with the layout of their
// stream -> a scalar, in float32 at least.
Tensor sum_of_token_distances(const Tensor& a, const Tensor& b, const Layout& layout);

}  // namespace formwork
