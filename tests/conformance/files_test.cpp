// Specs build the same model again; saved models load bit for bit; models move between devices.
#include "conformance/suite.h"
#include "formwork/models/model_io.h"
#include "interop/temporary_folder.h"

namespace formwork::conformance {
namespace {

class Files : public Suite {};

TEST_P(Files, SpecsBuildTheSameAgain) {
  if (!build("spec") || !when(traits().deterministic, "not deterministic")) GTEST_SKIP() << reason();
  const at::NoGradGuard guard;
  auto again = make(model().spec().to_json());
  const auto in = inputs(subject(), 1, 4);
  EXPECT_TRUE(at::equal(run(model(), in), run(*again, in)));
  EXPECT_EQ(again->spec().to_json(), model().spec().to_json());
}

TEST_P(Files, GiveBackEveryBit) {
  const at::NoGradGuard guard;
  for (const auto dtype : {at::kDouble, at::kFloat, at::kBFloat16}) {
    if (!build("files", dtype) || !when(traits().deterministic, "not deterministic"))
      GTEST_SKIP() << reason();
    const TemporaryFolder folder;
    save_model(model(), (folder / "model").string());
    auto loaded = load_model((folder / "model").string());
    const auto in = inputs(subject(), 2, 4, dtype);
    EXPECT_TRUE(at::equal(run(model(), in), run(*loaded, in))) << c10::toString(dtype);
    EXPECT_EQ(loaded->spec().to_json(), model().spec().to_json());
  }
}

TEST_P(Files, ModelsRunOnAnotherDevice) {
  if (!build("device") || !when(at::hasCUDA(), "no CUDA device")) GTEST_SKIP() << reason();
  const at::NoGradGuard guard;
  auto in = inputs(subject(), 2, 4);
  const auto here = run(model(), in);
  model().to(at::kCUDA);
  for (auto& [name, value] : in) value = value.to(at::kCUDA);
  EXPECT_LT(gap(run(model(), in).cpu(), here), 1e-9);
  model().to(at::kCPU);
  for (auto& [name, value] : in) value = value.cpu();
  EXPECT_TRUE(at::equal(run(model(), in), here));
}

INSTANTIATE_TEST_SUITE_P(Registered, Files, testing::ValuesIn(subjects()), label_of);

}  // namespace
}  // namespace formwork::conformance
