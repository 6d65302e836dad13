// Hidden-state alignment: each of the student's layers gives, for the stream that the teacher's layer read,
// what that layer gave,
//
//   loss = sum over layers of the mean over tokens of |y_l - z_l|,   y_l, z_l [B, T, D]
//
// with the Euclidean norm over channels, not squared. `mixer`: y and z are the outputs of the token mixers
// alone; `block`: the streams after the layer, or after `gap` layers that run one into the other. Padding
// counts nowhere. Source: Transformers to SSMs: Distilling Quadratic Knowledge to Subquadratic Models (2024),
// stage 2.
#include "formwork/train/objectives/teacher_and_student.h"

namespace formwork {
namespace {

class HiddenStates final : public Objective {
 public:
  struct Options : ObjectiveOptions {
    std::string target = "mixer";
    int64_t gap = 1;
    void describe(Fields& f) {
      ObjectiveOptions::describe(f);
      f.choice("target", target, {"mixer", "block"},
               "outputs of the token mixers, or streams after whole layers");
      f.integer("gap", gap, "layers that run one into the other before streams are compared (target block)",
                1, 10000);
    }
  };
  explicit HiddenStates(const Options& options) : Objective(options), options_(options) {
    if (options.gap > 1 && options.target != "block")
      fail("objective 'hidden_states': a gap of {} chains layers, so its target is 'block', found '{}'",
           options.gap, options.target);
  }

  void check(const Model& student, const Cast& others) const override {
    const auto& teacher = *others.at(kTeacher);
    paired_sites(student, teacher);
    const auto ours = layer_segments(student).size(), theirs = layer_segments(teacher).size();
    if (ours != theirs)
      fail("objective 'hidden_states': the student has {} layers, the teacher {}", ours, theirs);
    if (ours % static_cast<size_t>(options_.gap))
      fail("objective 'hidden_states': {} layers cannot be cut into gaps of {}", ours, options_.gap);
  }

 protected:
  Tensor compare(CastPass& pass) const override {
    const auto sum = options_.target == "mixer" ? mixers(pass) : blocks(pass);
    return sum / static_cast<double>(pass.whole().tokens);
  }

 private:
  static void add(Tensor& sum, const Tensor& loss) { sum = sum.defined() ? sum + loss : loss; }

  static Tensor mixers(CastPass& pass) {
    auto &student = pass.of(kStudent), &teacher = pass.of(kTeacher);
    Tensor sum;
    for (const auto& pair : paired_sites(student.model(), teacher.model())) {
      const auto& stream = teacher.before(pair.teacher.segment);
      add(sum, sum_of_token_distances(student.mixed(pair.student, stream),
                                      teacher.mixed(pair.teacher, stream), stream.layout));
    }
    return sum;
  }

  Tensor blocks(CastPass& pass) const {
    auto &student = pass.of(kStudent), &teacher = pass.of(kTeacher);
    const auto ours = layer_segments(student.model()), theirs = layer_segments(teacher.model());
    const auto gap = static_cast<size_t>(options_.gap);
    Tensor sum;
    for (size_t first = 0; first < ours.size(); first += gap) {
      const size_t last = first + gap - 1;
      // The later stream first: asking for more of a passage may move what it has.
      const auto wanted = teacher.before(theirs[last].last), from = teacher.before(theirs[first].first);
      const auto made = student.run(ours[first].first, ours[last].last, from);
      add(sum, sum_of_token_distances(made.x, wanted.x, wanted.layout));
    }
    return sum;
  }

  Options options_;
};

FORMWORK_PART(Objective, HiddenStates, "hidden_states", "distance of each layer's output from the teacher's");

}  // namespace
}  // namespace formwork
