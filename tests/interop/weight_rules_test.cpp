// Weight rules undo themselves bit for bit; what does not fit is one line that names the tensor.
#include "formwork/interop/families/weight_rules.h"

#include <gtest/gtest.h>

#include "formwork/interop/families/family.h"
#include "formwork/interop/inventory_parameters.h"
#include "formwork/interop/raw_tensor.h"
#include "formwork/interop/safetensors.h"
#include "formwork/models/model.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

Tensor joined(const WeightOp& op, const std::vector<Tensor>& theirs) {
  std::vector<Raw> raws;
  for (const auto& tensor : theirs) raws.push_back(raw_of(tensor));
  return tensor_of(op.join(raws));
}

void expect_undone(const WeightOp& op, const std::vector<Tensor>& theirs) {
  const auto back = op.split(raw_of(joined(op, theirs)));
  ASSERT_EQ(back.size(), theirs.size());
  for (size_t i = 0; i < theirs.size(); ++i) EXPECT_TRUE(at::equal(tensor_of(back[i]), theirs[i])) << i;
}

TEST(WeightOps, AreUndoneBitForBit) {
  const auto a = at::randn({4, 3}), b = at::randn({2, 3}), c = at::randn({2, 3});
  expect_undone(weight_op::same(), {a});
  expect_undone(weight_op::transposed(), {a});
  expect_undone(weight_op::concatenated({4, 2, 2}), {a, b, c});
  expect_undone(weight_op::reshaped({12}, {4, 3}), {a});
  expect_undone(weight_op::interleaved_heads(2, 5), {at::randn({30, 3})});
  expect_undone(weight_op::interleaved_heads(2, 5), {at::randn({30})});
  expect_undone(weight_op::stacked(2, 2, weight_op::concatenated({2, 2})), {b, c, c + 1, b + 1});
  auto padded = at::randn({5, 3});
  padded.narrow(0, 0, 2).zero_();
  expect_undone(weight_op::without_first_rows(2), {padded});
}

TEST(WeightOps, SayWhatTheyDo) {
  const auto a = at::randn({4, 3}), b = at::randn({2, 3});
  EXPECT_TRUE(at::equal(joined(weight_op::transposed(), {a}), a.t()));
  EXPECT_TRUE(at::equal(joined(weight_op::concatenated({4, 2}), {a, b}).narrow(0, 4, 2), b));
  EXPECT_TRUE(at::equal(joined(weight_op::without_first_rows(1), {a}), a.narrow(0, 1, 3)));
  EXPECT_TRUE(at::equal(joined(weight_op::stacked(2, 1, weight_op::same()), {b, b + 1})[1], b + 1));
  // q, k, v of head 0, then of head 1: all queries come first.
  const auto theirs = at::arange(12), ours = joined(weight_op::interleaved_heads(2, 2), {theirs});
  EXPECT_TRUE(at::equal(ours, at::tensor({0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11}, at::kLong)));
}

TEST(WeightOps, ViewsCopyNothing) {
  const auto table = at::randn({6, 3});
  const auto cut = joined(weight_op::without_first_rows(2), {table});
  EXPECT_EQ(cut.const_data_ptr<float>(), table.const_data_ptr<float>() + 6);
}

// A small Llama by its config, and weights that fit it.
class LlamaWeights : public testing::Test {
 protected:
  LlamaWeights() {
    config_ = Json::parse(R"({"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 11,
        "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 12, "rms_norm_eps": 1e-5})");
    model_ = build_model(spec_of(Config(config_, "config.json")), 3);
    parameters_ = parameters_of(model_->inventory());
    rules_ = std::make_unique<WeightRules>(parameters_);
    family_ = Registry<Family>::make("llama");
    family_->rules(*rules_);
    theirs_ = tensors_of(export_weights(*rules_, values_of(model_->inventory())));
  }
  TensorMap read(const TensorMap& theirs) const {
    RawMap raws;
    for (const auto& [name, tensor] : theirs) raws[name] = raw_of(tensor);
    return tensors_of(import_weights(*rules_, raws, family_->names(), "folder"));
  }
  std::string error_with(const std::function<void(TensorMap&)>& edit) const {
    auto theirs = theirs_;
    edit(theirs);
    return error_of([&] { read(theirs); });
  }

  Json config_;
  std::shared_ptr<Model> model_;
  Parameters parameters_;
  std::unique_ptr<WeightRules> rules_;
  std::unique_ptr<Family> family_;
  TensorMap theirs_;
};

TEST_F(LlamaWeights, ImportUndoesExport) {
  EXPECT_EQ(theirs_.size(), 2 * 9 + 3U);
  const auto ours = read(theirs_);
  for (const auto& param : model_->inventory().params)
    EXPECT_TRUE(at::equal(ours.at(param.name), param.value)) << param.name;
}

TEST_F(LlamaWeights, FilesWithoutThePrefixAreRead) {
  TensorMap bare;
  for (const auto& [name, tensor] : theirs_)
    bare[name.starts_with("model.") ? name.substr(6) : name] = tensor;
  EXPECT_EQ(read(bare).size(), model_->inventory().params.size());
}

TEST_F(LlamaWeights, WhatDoesNotFitIsNamed) {
  const std::string key = "model.layers.1.self_attn.k_proj.weight";
  EXPECT_EQ(error_with([&](TensorMap& t) {
              t[key] = at::zeros({3, 8});
            }),
            "folder: tensor '" + key + "': expected shape [4, 8], found [3, 8]");
  EXPECT_NE(error_with([&](TensorMap& t) { t.erase(key); }).find("tensor '" + key + "' is missing"),
            std::string::npos);
  EXPECT_EQ(error_with([&](TensorMap& t) { t["stranger"] = at::zeros({2}); }),
            "folder: tensor 'stranger' [2] has no place in the model that the config describes");
}

}  // namespace
}  // namespace formwork
