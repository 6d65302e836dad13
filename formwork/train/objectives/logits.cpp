// End-to-end distillation (Hinton et al., 2015): cross-entropy of the student's predictions with the
// teacher's,
//
//   loss = - mean over tokens of sum_c softmax(z)_c log softmax(y / temperature)_c,   y, z [B, T, C]
//
// The temperature divides the student's logits only, as in the trainer of Transformers to SSMs: Distilling
// Quadratic Knowledge to Subquadratic Models (2024), stage 3. Padding counts nowhere. Logits of whole rows
// [B, C] have a mean over rows.
#include "formwork/train/objective.h"

namespace formwork {
namespace {

class Logits final : public Objective {
 public:
  struct Options : ObjectiveOptions {
    double temperature = 1;
    void describe(Fields& f) {
      ObjectiveOptions::describe(f);
      f.number("temperature", temperature, "the student's logits are divided by it", 1e-6, 1e6);
    }
  };
  explicit Logits(const Options& options) : Objective(options), options_(options) {}

  void check(const Model&, const Cast& others) const override { others.at(kTeacher); }

 protected:
  Tensor compare(CastPass& pass) const override {
    const auto theirs = logits_of(pass.of(kTeacher), kTeacher), ours = logits_of(pass.of(kStudent), kStudent);
    if (theirs.sizes() != ours.sizes())
      fail("objective 'logits': the student predicts [{}], the teacher [{}]; both need one vocabulary",
           fmt::join(ours.sizes().vec(), ", "), fmt::join(theirs.sizes().vec(), ", "));
    auto losses = -(theirs.softmax(-1) * (ours / options_.temperature).log_softmax(-1)).sum(-1);
    if (losses.dim() < 2) return losses.sum() / static_cast<double>(pass.whole().rows);
    const auto mask = pass.part().inputs.find("attention_mask");
    if (mask != pass.part().inputs.end()) losses = losses * mask->second.ne(0).to(losses.scalar_type());
    return losses.sum() / static_cast<double>(pass.whole().tokens);
  }

 private:
  // In float32 at least.
  static Tensor logits_of(Passage& passage, const char* role) {
    const auto found = passage.out().find("logits");
    if (found == passage.out().end())
      fail("objective 'logits': the {} gives no 'logits'; use another head", role);
    return found->second.to(at::promote_types(found->second.scalar_type(), at::kFloat));
  }
  Options options_;
};

FORMWORK_PART(Objective, Logits, "logits", "cross-entropy with the teacher's predictions");

}  // namespace
}  // namespace formwork
