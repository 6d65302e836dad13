// What only models promise: segments, and that each has a sample here.
#include "conformance/samples.h"
#include "conformance/suite.h"

namespace formwork::conformance {
namespace {

TEST(Registered, EveryModelHasASample) {
  for (const auto& name : Registry<Model>::names())
    EXPECT_TRUE(name == "part" || samples().count("models/" + name)) << name;
}

class Models : public Suite {};

TEST_P(Models, RunInSegmentsEqualForward) {
  if (!build("segments") || !when(traits().deterministic, "not deterministic")) GTEST_SKIP() << reason();
  const at::NoGradGuard guard;
  const auto in = inputs(subject(), 2, 5);
  const auto whole = run(model(), in);
  const auto last = static_cast<int64_t>(model().segments().size());
  for (int64_t cut = 0; cut <= last; ++cut) {
    auto ctx = model().make_context();
    auto streams = model().start(ctx, in);
    model().run(ctx, 0, cut, streams);
    model().run(ctx, cut, last, streams);
    Record out;
    model().finish(ctx, streams, out);
    EXPECT_TRUE(at::equal(only(model(), out), whole)) << "cut at " << cut;
  }
}

TEST_P(Models, CountTheBytesAndParametersThatTheyHave) {
  if (!build("inventory")) GTEST_SKIP() << reason();
  int64_t parameters = 0, bytes = 0;
  for (const auto& param : model().inventory().params) {
    parameters += param.value.numel();
    bytes += static_cast<int64_t>(param.value.nbytes());
  }
  EXPECT_EQ(model().parameter_count(), parameters);
  EXPECT_EQ(model().bytes(), bytes);
  const auto shapes = build_model(model().spec(), 0, at::kDouble, /*allocate=*/false);
  EXPECT_EQ(shapes->parameter_count(), parameters);
  EXPECT_EQ(shapes->bytes(), bytes);
}

INSTANTIATE_TEST_SUITE_P(Registered, Models, testing::ValuesIn(subjects()), label_of);

}  // namespace
}  // namespace formwork::conformance
