// Axes say the shapes of parameters, and what their groups allow leaves the function as it is.
#include "conformance/samples.h"
#include "conformance/suite.h"
#include "formwork/transforms/edit.h"

namespace formwork::conformance {
namespace {

class Axes : public Suite {
 protected:
  struct Carriers {
    bool any = false, in_groups = false, as_codes = false;
  };
  Carriers carriers(const std::string& axis) {
    Carriers found;
    for (const auto& param : model().inventory().params)
      for (const auto& dim : param.dims) {
        if (!dim.carries(axis)) continue;
        found.any = true;
        found.in_groups |= dim.grain > 1;
        found.as_codes |= !param.value.is_floating_point();
      }
    return found;
  }

  // The record that a model with this axis edited takes: x, memory and ids carry axes of their own.
  using Change = std::function<Tensor(const Tensor&)>;
  Record change_inputs(Record in, const std::string& axis, const Change& change) const {
    if (axis == "vocab")
      for (auto& [name, value] : in)
        if (name.ends_with("input_ids"))
          value = change(at::one_hot(value, kVocab).to(at::kDouble)).argmax(-1);
    if (axis == "residual" && in.count("x")) in["x"] = change(in["x"]);
    if (axis == "memory" && in.count("memory")) in["memory"] = change(in["memory"]);
    return in;
  }
  // The same for its output, where that is a stream itself, pooled or not, or the vocabulary.
  Tensor change_output(const Tensor& y, const std::string& axis, const Change& change) {
    const auto& field = subject().output;
    const Json head = subject().spec["model"].value("head", Json::object());
    const bool pooled = field == "pooler_output" && head.value("hidden", Json()) == false;
    const bool stream = subject().is_part() || field == "last_hidden_state" || field == "embedding" || pooled;
    const auto& inventory = model().inventory();
    const bool carried = (stream ? inventory.streams.count(axis) > 0 : axis == "vocab") &&
                         y.size(-1) == inventory.axes.at(axis).size;
    return carried ? change(y) : y;
  }
  void expect_kept(Edit& edit, const std::string& axis, const Record& in, const Tensor& y,
                   const Change& change) {
    const auto edited = edit.finish();
    EXPECT_LT(gap(run(*edited, change_inputs(in, axis, change)), change_output(y, axis, change)), 1e-9)
        << axis;
  }
  static Change select(const Tensor& index) {
    return [index](const Tensor& x) { return x.index_select(-1, index); };
  }

  // The smallest size that leaves something after a cut.
  static int64_t least(const AxisInfo& info) { return info.group == Group::rotary_pairs ? 4 : 2; }
  // Calls visit(axis, info, carriers) for each axis that allows `group`, may be cut and is carried by some
  // parameter; visit says whether it tried something. Whether any did.
  template <class Visit>
  bool visit_axes(Group group, const Visit& visit) {
    bool tried = false;
    for (const auto& [axis, info] : model().inventory().axes) {
      const auto carried = carriers(axis);
      if (info.group >= group && info.size >= least(info) && carried.any) tried |= visit(axis, info, carried);
    }
    return tried;
  }
  // Entries of an axis, reordered: pairs stay pairs.
  static Tensor reordered(const AxisInfo& info) {
    const auto all = at::arange(info.size, at::kLong);
    if (info.group != Group::rotary_pairs) return all.roll(1);
    return info.pairs == Pairs::halves ? all.view({2, -1}).roll(1, 1).flatten()
                                       : all.view({-1, 2}).roll(1, 0).flatten();
  }
  // All but the last entries, as few as the group allows.
  static Tensor prefix(const AxisInfo& info) {
    if (info.group != Group::rotary_pairs) return at::arange(info.size - 1, at::kLong);
    const auto all = at::arange(info.size, at::kLong);
    return info.pairs == Pairs::halves ? all.view({2, -1}).narrow(1, 0, info.size / 2 - 1).flatten()
                                       : all.narrow(0, 0, info.size - 2);
  }
};

TEST_P(Axes, SayTheShapesOfParameters) {
  if (!build("axes")) GTEST_SKIP() << reason();
  for (const auto& param : model().inventory().params) {
    if (!param.value.defined()) continue;
    ASSERT_EQ(static_cast<int64_t>(param.dims.size()), param.value.dim()) << param.name;
    for (size_t i = 0; i < param.dims.size(); ++i)
      EXPECT_EQ(param.dims[i].stored(), param.value.size(static_cast<int64_t>(i))) << param.name;
  }
}

// x, ids and logits are the caller's: those of an edited axis change with it.
TEST_P(Axes, MayBePermuted) {
  if (!build("permutation")) GTEST_SKIP() << reason();
  const at::NoGradGuard guard;
  const auto in = inputs(subject(), 2, 4);
  const auto y = run(model(), in);
  const bool tried =
      visit_axes(Group::rotary_pairs, [&](const auto& axis, const auto& info, const Carriers& carried) {
        Edit edit(model());
        const auto order = reordered(info);
        if (carried.in_groups) {  // whose entries only move together
          EXPECT_THROW(edit.select(axis, order), Error) << axis;
        } else {
          edit.select(axis, order);
          expect_kept(edit, axis, in, y, select(order));
        }
        return true;
      });
  if (!when(tried, "no parameter carries an axis that may be permuted")) GTEST_SKIP() << reason();
}

TEST_P(Axes, OfRotaryPairsRefuseWhatPartsThem) {
  if (!build("rotary_pairs")) GTEST_SKIP() << reason();
  int tried = 0;
  for (const auto& [axis, info] : model().inventory().axes) {
    if (info.group != Group::rotary_pairs || info.size < 4) continue;
    ++tried;
    Edit edit(model());
    const auto all = at::arange(info.size, at::kLong);
    EXPECT_THROW(edit.select(axis, all.roll(1)), Error) << axis;
    EXPECT_THROW(edit.select(axis, all.narrow(0, 0, info.size - 1)), Error) << axis;
    auto swapped = all.clone();  // within a pair, which turns the other way then
    const int64_t partner = info.pairs == Pairs::halves ? info.size / 2 : 1;
    swapped[0] = partner, swapped[partner] = 0;
    EXPECT_THROW(edit.select(axis, swapped), Error) << axis;
  }
  if (!when(tried > 0, "no axis of rotary pairs")) GTEST_SKIP() << reason();
}

TEST_P(Axes, MayBeRotated) {
  if (!build("rotation")) GTEST_SKIP() << reason();
  const at::NoGradGuard guard;
  const auto in = inputs(subject(), 2, 4);
  const auto y = run(model(), in);
  const bool tried =
      visit_axes(Group::orthogonal, [&](const auto& axis, const auto& info, const Carriers& carried) {
        const auto basis = std::get<0>(at::linalg_qr(at::randn({info.size, info.size}, at::kDouble)));
        Edit edit(model());
        if (carried.in_groups || carried.as_codes) {
          EXPECT_THROW(edit.rotate(axis, basis), Error) << axis;
        } else {
          edit.rotate(axis, basis);
          expect_kept(edit, axis, in, y, [&](const Tensor& x) { return x.matmul(basis); });
        }
        return true;
      });
  if (!when(tried, "no parameter carries an axis that may be rotated")) GTEST_SKIP() << reason();
}

// 1 for entries along `dim` whose place on the axis is in `kept`, 0 for the others.
Tensor kept_along(const Dim& dim, const std::string& axis, const Tensor& kept) {
  std::vector<Tensor> parts;
  for (const auto& segment : dim.segments) {
    std::vector<int64_t> shape;
    for (const auto& factor : segment) shape.push_back(factor.size);
    auto part = at::ones(shape, at::kDouble);
    for (size_t k = 0; k < segment.size(); ++k) {
      if (segment[k].name != axis) continue;
      auto there = at::zeros({segment[k].size}, at::kDouble).index_fill(0, kept, 1);
      std::vector<int64_t> wide(segment.size(), 1);
      wide[k] = segment[k].size;
      part = part * there.view(wide);
    }
    parts.push_back(part.flatten());
  }
  return at::cat(parts);
}

// Sets all that carries an entry outside `kept` to zero.
void mask(Model& model, const std::string& axis, const Tensor& kept) {
  for (auto& param : model.inventory().params)
    for (size_t d = 0; d < param.dims.size(); ++d) {
      if (!param.dims[d].carries(axis)) continue;
      std::vector<int64_t> wide(param.dims.size(), 1);
      wide[d] = param.value.size(static_cast<int64_t>(d));
      param.value.mul_(kept_along(param.dims[d], axis, kept).view(wide).to(param.value.scalar_type()));
    }
}

TEST_P(Axes, CutToAPrefixEqualMaskedOnes) {
  if (!build("cutting")) GTEST_SKIP() << reason();
  const at::NoGradGuard guard;
  auto in = inputs(subject(), 2, 4);
  for (auto& [name, value] : in)
    if (name.ends_with("input_ids")) value.clamp_max_(kVocab - 2);  // the last one will be cut
  const auto cut_prefix = [&](const std::string& axis, const AxisInfo& info, const Carriers& carried) {
    if (carried.in_groups || carried.as_codes) return false;
    const auto last = axis.substr(axis.rfind('.') + 1);
    if (const auto why = competing_axes().find(last); why != competing_axes().end()) {
      when(false, why->second);
      reason();
      return false;
    }
    const auto kept = prefix(info);
    Edit edit(model());
    edit.select(axis, kept);
    const auto cut = edit.finish();
    auto masked = make(subject().spec);
    mask(*masked, axis, kept);
    const auto zero = at::zeros({info.size}, at::kDouble).index_fill(0, kept, 1);
    const auto y = run(*masked, change_inputs(in, axis, [&](const Tensor& x) { return x * zero; }));
    EXPECT_LT(gap(run(*cut, change_inputs(in, axis, select(kept))), change_output(y, axis, select(kept))),
              1e-10)
        << axis;
    return true;
  };
  if (!when(visit_axes(Group::rotary_pairs, cut_prefix), "no parameter carries an axis that may be cut"))
    GTEST_SKIP() << reason();
}

INSTANTIATE_TEST_SUITE_P(Registered, Axes, testing::ValuesIn(subjects()), label_of);

}  // namespace
}  // namespace formwork::conformance
