#include "formwork/train/objectives/teacher_and_student.h"

namespace formwork {
namespace {

int64_t stream_width(const Model& model) {
  const auto& axes = model.inventory().axes;
  const auto found = axes.find("residual");
  return found == axes.end() ? -1 : found->second.size;
}

}  // namespace

std::vector<SitePair> paired_sites(const Model& student, const Model& teacher) {
  const auto all = mixing_sites(student), theirs = mixing_sites(teacher);
  if (all.size() != theirs.size())
    fail("student and teacher are compared layer by layer: the student has {} token mixers, the teacher {}",
         all.size(), theirs.size());
  if (stream_width(student) != stream_width(teacher))
    fail("the student reads the teacher's stream: it is {} channels wide, the teacher's {}",
         stream_width(student), stream_width(teacher));
  std::vector<SitePair> pairs;
  for (const auto& site : trained_sites(student)) {
    const auto at =
        std::find_if(all.begin(), all.end(), [&](const auto& one) { return one.segment == site.segment; });
    pairs.push_back({site, theirs[static_cast<size_t>(at - all.begin())]});
  }
  if (pairs.empty())
    fail("no token mixer of the student trains, so there is nothing to compare with the teacher's");
  return pairs;
}

Tensor sum_of_token_distances(const Tensor& a, const Tensor& b, const Layout& layout) {
  const auto type = at::promote_types(at::promote_types(a.scalar_type(), b.scalar_type()), at::kFloat);
  auto norms = at::linalg_vector_norm(a.to(type) - b.to(type), 2, -1);
  if (const auto keep = layout.keep(norms.size(1)); keep.defined()) norms = norms * keep.to(type);
  return norms.sum();
}

}  // namespace formwork
