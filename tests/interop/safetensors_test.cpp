#include "formwork/interop/safetensors.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "formwork/interop/raw_tensor.h"
#include "formwork/interop/safetensors_shards.h"
#include "interop/safetensors_bytes.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

at::Tensor counted(at::IntArrayRef shape, at::ScalarType dtype) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return (at::arange(count, at::kFloat).remainder(5) - (dtype == at::kByte ? 0 : 2)).reshape(shape).to(dtype);
}

// One tensor of each type that at::Tensor can cast to, with scalar, empty and strided ones.
TensorMap sample() {
  TensorMap tensors;
  for (const auto dtype : {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong, at::kInt, at::kShort,
                           at::kChar, at::kByte, at::kFloat8_e4m3fn, at::kFloat8_e5m2}) {
    tensors["w." + safetensors_dtype_name(dtype)] = counted({3, 5}, dtype);
  }
  tensors["mask"] = counted({7}, at::kFloat) > 0;
  tensors["complex"] = at::complex(counted({2, 2}, at::kFloat), counted({2, 2}, at::kFloat) + 1);
  tensors["unsigned"] = counted({3}, at::kByte).to(at::kUInt16);
  tensors["scalar"] = at::scalar_tensor(2.5, at::kDouble);
  tensors["empty"] = at::empty({0, 4}, at::kHalf);
  tensors["strided"] = counted({4, 6}, at::kFloat).t().slice(0, 0, 6, 2);
  tensors["expanded"] = counted({1, 3}, at::kLong).expand({2, 3});
  tensors["\u00e9\"\n"] = counted({2}, at::kInt);
  return tensors;
}

bool same(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != b.scalar_type() || a.sizes() != b.sizes()) return false;
  if (a.numel() == 0) return true;
  const auto x = a.contiguous(), y = b.contiguous();
  return std::memcmp(x.data_ptr(), y.data_ptr(), x.nbytes()) == 0;
}

void expect_same(const TensorMap& found, const TensorMap& expected) {
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    ASSERT_TRUE(found.contains(name)) << name;
    EXPECT_TRUE(same(found.at(name), tensor)) << name << "\n" << found.at(name) << tensor;
  }
}

TEST(Safetensors, EveryDtypeOfTheFormatHasATensorTypeOfItsSize) {
  for (const auto& dtype : safetensors_dtypes()) {
    TemporaryFolder folder;
    const std::string header = fmt::format(R"({{"a":{{"dtype":"{}","shape":[2],"data_offsets":[0,{}]}}}})",
                                           dtype.name, 2 * dtype_bytes(dtype.dtype));
    write_atomically(folder / "a",
                     safetensors_bytes(header, static_cast<size_t>(2 * dtype_bytes(dtype.dtype))));
    const SafetensorsFile file(folder / "a");
    const auto tensor = tensor_of(file.tensor("a"));
    EXPECT_EQ(tensor.element_size(), dtype_bytes(dtype.dtype)) << dtype.name;
    EXPECT_EQ(safetensors_dtype_name(tensor.scalar_type()), dtype.name);
  }
}

TEST(Safetensors, WritesAndReadsBackEveryTensorAndTheMetadata) {
  TemporaryFolder folder;
  const auto tensors = sample();
  write_safetensors(folder / "a.safetensors", tensors, {{"format", "pt"}, {"\u00e9", "\"\t"}});
  expect_same(read_safetensors(folder / "a.safetensors"), tensors);
  const SafetensorsFile file(folder / "a.safetensors");
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}, {"\u00e9", "\"\t"}}));
  EXPECT_EQ(file.tensor("w.BF16").dtype, Dtype::bfloat16);
  EXPECT_EQ(file.tensor("strided").shape, (std::vector<int64_t>{3, 4}));
  EXPECT_EQ(file.names().size(), tensors.size());
}

TEST(Safetensors, EqualInputGivesEqualBytesAndAlignedData) {
  TemporaryFolder folder;
  write_safetensors(folder / "a", sample(), {{"b", "2"}, {"a", "1"}});
  write_safetensors(folder / "b", sample(), {{"a", "1"}, {"b", "2"}});
  EXPECT_EQ(read_file(folder / "a"), read_file(folder / "b"));
  const SafetensorsFile file(folder / "a");
  for (const auto& name : file.names()) {
    const auto tensor = tensor_of(file.tensor(name));
    const auto address = reinterpret_cast<uintptr_t>(tensor.const_data_ptr());
    EXPECT_EQ(address % static_cast<uintptr_t>(tensor.element_size()), 0u) << name;
  }
}

TEST(Safetensors, ViewsShareThePagesOutliveTheFileAndNeverChangeIt) {
  TemporaryFolder folder;
  write_safetensors(folder / "a", {{"w", at::zeros({4})}});
  at::Tensor first, second;
  {
    const SafetensorsFile file(folder / "a");
    first = tensor_of(file.tensor("w"));
    second = tensor_of(file.tensor("w"));
  }
  EXPECT_EQ(first.const_data_ptr(), second.const_data_ptr());
  write_safetensors(folder / "a", {{"w", at::ones({4})}});  // the old file lives on in the mapping
  first.add_(3);
  EXPECT_TRUE(second.equal(at::full({4}, 3.0f)));
  EXPECT_TRUE(tensor_of(SafetensorsFile(folder / "a").tensor("w")).equal(at::ones({4})));
}

TEST(Safetensors, MisalignedDataIsCopied) {
  TemporaryFolder folder;
  const std::string header =
      R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[],"data_offsets":[1,5]}})";
  std::string bytes = safetensors_bytes(header, 5);
  const float value = 1.5f;
  std::memcpy(bytes.data() + bytes.size() - 4, &value, 4);
  write_atomically(folder / "a", bytes);
  const auto tensor = tensor_of(SafetensorsFile(folder / "a").tensor("b"));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.const_data_ptr()) % 4, 0u);
  EXPECT_EQ(tensor.item<float>(), value);
}

TEST(Safetensors, EveryTruncationIsRefused) {
  TemporaryFolder folder;
  write_safetensors(folder / "a", {{"w", at::ones({3})}, {"v", at::ones({2}, at::kByte)}});
  const auto whole = read_file(folder / "a");
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_THROW(parse_safetensors_header(std::string_view(whole).substr(0, size), "a"), Error) << size;
  }
}

TEST(Safetensors, ErrorsNameFileTensorAndNearestName) {
  TemporaryFolder folder;
  const auto path = folder / "a";
  write_safetensors(path, {{"layers.0.weight", at::ones({3})}});
  EXPECT_EQ(error_of([&] { SafetensorsFile(path).tensor("layer.0.weight"); }),
            path.string() + ": no tensor 'layer.0.weight'; did you mean 'layers.0.weight'?");
  const auto writing = [&](const std::string& name, const at::Tensor& tensor) {
    return error_of([&] { write_safetensors(path, {{name, tensor}}); });
  };
  const auto ones = at::ones({2, 2});
  EXPECT_NE(writing("w", {}).find("tensor 'w': undefined"), std::string::npos);
  EXPECT_NE(writing("w", ones.to_sparse()).find("only dense"), std::string::npos);
  EXPECT_NE(writing("w", ones.to(at::kMeta)).find("meta device"), std::string::npos);
  EXPECT_NE(writing("w", ones.to(at::kComplexDouble)).find("no dtype for ComplexDouble"), std::string::npos);
  EXPECT_NE(writing("__metadata__", ones).find("reserved"), std::string::npos);
  EXPECT_NE(writing("\xff", ones).find("not valid UTF-8"), std::string::npos);
  EXPECT_NO_THROW(SafetensorsFile{path}) << "failed writes leave the old file";
}

TEST(Safetensors, ParametersAndLazyConjugatesAreWrittenAsValues) {
  TemporaryFolder folder;
  const auto z = at::complex(at::ones({2}), at::ones({2}));
  write_safetensors(folder / "a", {{"p", at::ones({2}).requires_grad_()}, {"z", z.conj()}});
  const auto read = read_safetensors(folder / "a");
  EXPECT_FALSE(read.at("p").requires_grad());
  EXPECT_EQ(at::imag(read.at("z"))[0].item<float>(), -1.0f);
}

class Shards : public ::testing::Test {
 protected:
  void SetUp() override {
    write_safetensors(folder_ / "model-1.safetensors", {{"a", at::ones({2})}, {"b", at::zeros({1})}});
    write_safetensors(folder_ / "model-2.safetensors", {{"c", at::full({3}, 2.0)}}, {{"format", "pt"}});
  }
  std::string with_index(const std::string& text) {
    write_atomically(index_, text);
    return error_of([&] { SafetensorsShards{index_}; });
  }
  std::string with_map(const std::string& entries) {
    return with_index("{\"weight_map\":{" + entries + "}}");
  }

  TemporaryFolder folder_;
  std::filesystem::path index_ = folder_ / "model.safetensors.index.json";
};

TEST_F(Shards, AreJoinedByIndexFromFileOrFolder) {
  ASSERT_EQ(with_map(R"("a":"model-1.safetensors","b":"model-1.safetensors","c":"model-2.safetensors")"), "");
  for (const auto& path : {index_, folder_.path()}) {
    const SafetensorsShards shards(path);
    EXPECT_EQ(shards.names(), (std::vector<std::string>{"a", "b", "c"}));
    EXPECT_TRUE(tensor_of(shards.tensor("c")).equal(at::full({3}, 2.0)));
    EXPECT_EQ(shards.metadata().at("format"), "pt");
    EXPECT_NE(error_of([&] { shards.tensor("d"); }).find("no tensor 'd'"), std::string::npos);
  }
  EXPECT_EQ(read_safetensors(folder_.path()).size(), 3u);
}

TEST_F(Shards, ErrorsNameWhatIsWrong) {
  EXPECT_NE(with_index("{").find("not valid JSON"), std::string::npos);
  EXPECT_NE(with_index("[]").find("weight_map"), std::string::npos);
  EXPECT_NE(with_index("{}").find("weight_map"), std::string::npos);
  EXPECT_NE(with_map("\"a\":1").find("must be a file name"), std::string::npos);
  EXPECT_NE(with_map("\"a\":\"../x.safetensors\"").find("same folder"), std::string::npos);
  EXPECT_NE(with_map("\"a\":\"/etc/passwd\"").find("same folder"), std::string::npos);
  EXPECT_NE(with_map("\"a\":\"..\"").find("same folder"), std::string::npos);
  EXPECT_NE(with_map("\"a\":\"model-3.safetensors\"").find("No such file"), std::string::npos);
  EXPECT_NE(with_map("\"a\":\"model-2.safetensors\"").find("does not hold tensor 'a'"), std::string::npos);
}

TEST_F(Shards, AFolderWithoutAnIndexMustHoldOneModel) {
  EXPECT_NE(error_of([&] { read_safetensors(folder_.path()); }).find("found 2"), std::string::npos);
  std::filesystem::remove(folder_ / "model-2.safetensors");
  EXPECT_EQ(read_safetensors(folder_.path()).size(), 2u);
}

// The Python interpreter that has the safetensors package: the one FORMWORK_PYTHON names, that of the
// environment LibTorch comes from, or the system's. Empty when none has it.
std::string python_with_safetensors() {
  std::vector<std::string> candidates;
  if (const char* named = std::getenv("FORMWORK_PYTHON")) candidates.emplace_back(named);
  if (const char* torch = std::getenv("LIBTORCH")) {
    candidates.push_back(std::string(torch) + "/../../../../bin/python");
  }
  candidates.emplace_back("python3");
  for (const auto& python : candidates) {
    const auto command = "'" + python +
                         "' -c 'import importlib.util as u; import safetensors; assert "
                         "u.find_spec(\"torch\")' > /dev/null 2>&1";
    if (std::system(command.c_str()) == 0) return python;
  }
  return "";
}

// Python reads our file and writes it anew: the bytes must be the same. So each side reads what the other
// writes, and the values, types, shapes, names and order all agree.
TEST(Safetensors, BytesAreThoseOfThePythonPackage) {
  const auto python = python_with_safetensors();
  if (python.empty())
    GTEST_SKIP() << "SKIPPED: no Python with safetensors and torch; set FORMWORK_PYTHON to one";
  TemporaryFolder folder;
  auto tensors = sample();
  write_safetensors(folder / "ours", tensors, {{"format", "pt"}});
  const std::string script = R"(
import sys, torch
from safetensors import safe_open
from safetensors.torch import save_file
folder = sys.argv[1]
with safe_open(folder + "/ours", "pt") as f:
    tensors = {name: f.get_tensor(name) for name in f.keys()}
    metadata = f.metadata()
assert tensors["strided"].shape == (3, 4) and tensors["strided"][1, 0].item() == 0.0, tensors["strided"]
assert tensors["scalar"].item() == 2.5 and tensors["scalar"].dtype == torch.float64
assert tensors["w.BF16"].dtype == torch.bfloat16 and tensors["w.BF16"][0, 0].item() == -2
save_file(tensors, folder + "/theirs", metadata)
)";
  write_atomically(folder / "script.py", script);
  const auto command =
      fmt::format("'{}' '{}' '{}'", python, (folder / "script.py").string(), folder.path().string());
  ASSERT_EQ(std::system(command.c_str()), 0);
  expect_same(read_safetensors(folder / "theirs"), tensors);
  EXPECT_EQ(read_file(folder / "ours"), read_file(folder / "theirs"));
}

}  // namespace
}  // namespace formwork
