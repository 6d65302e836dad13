// Matrix orientation: the student's mixers, as matrices over tokens, are brought near the teacher's,
//
//   loss = sum over layers of the mean over rows and heads of |M_l - A_l|_F,   M_l, A_l [B, H, T, T]
//
// both made of the stream before layer l in the teacher, so that errors of one layer do not reach the next.
// The norm is not squared: each matrix counts by its distance. Padding counts nowhere. It takes O(T^2) memory
// for each layer. Layers whose mixers do not train (attention that is kept) are left out. Source:
// Transformers to SSMs: Distilling Quadratic Knowledge to Subquadratic Models (2024), stage 1.
#include "formwork/train/objectives/teacher_and_student.h"

namespace formwork {
namespace {

class Matrices final : public Objective {
 public:
  struct Options : ObjectiveOptions {
    bool repeat_heads = false;
    void describe(Fields& f) {
      ObjectiveOptions::describe(f);
      f.flag("repeat_heads", repeat_heads,
             "each of the teacher's heads is the target of several neighbours where the student has more");
    }
  };
  explicit Matrices(const Options& options) : Objective(options), options_(options) {}

  void check(const Model& student, const Cast& others) const override {
    const auto& teacher = *others.at(kTeacher);
    for (const auto& pair : paired_sites(student, teacher)) {
      require_matrix(student, pair.student);
      require_matrix(teacher, pair.teacher);
    }
  }

 protected:
  Tensor compare(CastPass& pass) const override {
    auto &student = pass.of(kStudent), &teacher = pass.of(kTeacher);
    Tensor sum;
    for (const auto& pair : paired_sites(student.model(), teacher.model())) {
      const auto& stream = teacher.before(pair.teacher.segment);
      const auto theirs = teacher.matrices(pair.teacher, stream);
      const auto ours = student.matrices(pair.student, stream);
      const auto loss = distances(ours, for_heads(theirs, ours.size(1), pair), stream.layout).sum() /
                        static_cast<double>(ours.size(1) * pass.whole().rows);
      sum = sum.defined() ? sum + loss : loss;
    }
    return sum;
  }

 private:
  static void require_matrix(const Model& model, const MixingSite& site) {
    require_facet<MatrixFacet>(site.mixer(), site.path(), model.inventory().types.at(site.path()));
  }

  Tensor for_heads(const Tensor& theirs, int64_t heads, const SitePair& pair) const {
    const int64_t given = theirs.size(1);
    if (given == heads) return theirs;
    if (!options_.repeat_heads || heads % given)
      fail("{}: the student's mixer has {} heads, the teacher's {} has {}: give the student {} heads{}",
           pair.student.path(), heads, pair.teacher.path(), given, given,
           heads % given ? "" : ", or set repeat_heads so that several of its heads share a target");
    return theirs.repeat_interleave(heads / given, 1);
  }

  // [B, H] Frobenius norms over real tokens.
  static Tensor distances(const Tensor& ours, const Tensor& theirs, const Layout& layout) {
    const auto type =
        at::promote_types(at::promote_types(ours.scalar_type(), theirs.scalar_type()), at::kFloat);
    auto difference = ours.to(type) - theirs.to(type);
    if (const auto keep = layout.keep(ours.size(2)); keep.defined())
      difference = difference * keep.unsqueeze(1).unsqueeze(-1) * keep.unsqueeze(1).unsqueeze(2);
    return at::linalg_vector_norm(difference, 2, at::IntArrayRef{-2, -1});
  }

  Options options_;
};

FORMWORK_PART(Objective, Matrices, "matrices",
              "distance of the mixers' matrices from the teacher's, layer by layer");

}  // namespace
}  // namespace formwork
