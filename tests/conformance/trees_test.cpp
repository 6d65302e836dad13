// A tree of tokens in one append gives at each token what its path gives in a row, and a state that kept a
// path goes on as if nothing else had been there. Mixers that cannot do it refuse by name and leave the state
// alone.
#include "conformance/suite.h"
#include "formwork/mixers/token_mixer.h"

namespace formwork::conformance {
namespace {

//   0 - 1 - 3
//    \    \ 4
//     2 - 5
constexpr std::array<int64_t, 6> kParents = {-1, 0, 0, 1, 1, 2};
constexpr int64_t kNodes = 6;

std::vector<int64_t> path_to(int64_t node) {
  std::vector<int64_t> path;
  for (; node >= 0; node = kParents[static_cast<size_t>(node)]) path.insert(path.begin(), node);
  return path;
}

class Trees : public Suite {
 protected:
  bool build_decoded() {
    return build("appends") && when(traits().causal, "not causal") &&
           when(subject().per_token, "an output for a row alone");
  }
  // A state of two rows that have taken 3 and 1 tokens of `in`.
  ModelState uneven_state(const Record& in) {
    auto others = in;
    others.erase(subject().field);
    StateOptions options;
    options.batch = 2, options.dtype = at::kDouble, options.reversible = 8;
    auto ctx = model().make_context();
    auto state = model().make_state(ctx, others, options);
    append({{subject().field, in.at(subject().field).narrow(1, 0, 3)},
            {subject().with("attention_mask"), at::tensor({1, 1, 1, 1, 0, 0}, at::kLong).view({2, 3})}},
           state);
    return state;
  }
  Tensor append(const Record& piece, ModelState& state) {
    auto ctx = model().make_context();
    return only(model(), model().append(ctx, piece, state));
  }
  // The output at the last token of row b of `in`, its own tokens being `text` [1, n, ..].
  Tensor in_a_row(const Record& in, int64_t b, const Tensor& text) {
    auto row = take_rows(in, {b});
    row[subject().field] = text;
    return run(model(), row)[0][-1];
  }
  // Tokens [from, from + n) of row b.
  Tensor piece(const Record& in, int64_t b, int64_t from, int64_t n) const {
    return in.at(subject().field).narrow(0, b, 1).narrow(1, from, n);
  }
  static int64_t before(int64_t b) { return b == 0 ? 3 : 1; }
  // The text of row b up to a node, whose tokens stand in `in` from 3 on.
  Tensor text_to(const Record& in, int64_t b, const std::vector<int64_t>& path) const {
    std::vector<Tensor> parts = {piece(in, b, 0, before(b))};
    for (const int64_t node : path) parts.push_back(piece(in, b, 3 + node, 1));
    return at::cat(parts, 1);
  }
  Record tree_of(const Record& in) const {
    return {{subject().field, in.at(subject().field).narrow(1, 3, kNodes)},
            {subject().with("parents"), at::tensor(at::ArrayRef<int64_t>(kParents), at::kLong).unsqueeze(0)}};
  }
};

std::string refusal_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

void expect_named(const std::string& refusal, const Model& model) {
  EXPECT_NE(refusal.find("takes tokens in a row alone"), std::string::npos) << refusal;
  bool named = false;
  for (const auto& name : Registry<TokenMixer>::names())
    named |= refusal.find("'" + name + "'") != std::string::npos;
  EXPECT_EQ(refusal.find("'attention'"), std::string::npos) << refusal;
  EXPECT_TRUE(named) << refusal << " in " << model.spec().to_json().dump();
}

TEST_P(Trees, AreVerifiedInOneAppendOrRefusedByName) {
  if (!build_decoded()) GTEST_SKIP() << reason();
  const at::NoGradGuard guard;
  const auto in = inputs(subject(), 2, 11);
  auto state = uneven_state(in);
  std::optional<Tensor> out;
  const auto refusal = refusal_of([&] { out = append(tree_of(in), state); });
  std::vector<std::vector<int64_t>> paths = {{0, 2, 5}, {0, 1}};
  if (!refusal.empty()) {
    expect_named(refusal, model());
    EXPECT_EQ(subject().label.find("/attention"), std::string::npos) << refusal;
    EXPECT_EQ(subject().label.find("/stick_breaking"), std::string::npos) << refusal;
    paths = {{}, {}};
  } else {
    for (int64_t b = 0; b < 2; ++b)
      for (int64_t node = 0; node < kNodes; ++node)
        EXPECT_LT(gap((*out)[b][node], in_a_row(in, b, text_to(in, b, path_to(node)))), 1e-9)
            << "row " << b << ", node " << node;
    EXPECT_NE(refusal_of([&] {
                append({{subject().field, in.at(subject().field).narrow(1, 9, 1)}}, state);
              }),
              "");
    state.keep(at::tensor({0, 2, 5, 0, 1, 0}, at::kLong).view({2, 3}), at::tensor({3, 2}, at::kLong));
  }
  const auto after = append({{subject().field, in.at(subject().field).narrow(1, 9, 2)}}, state);
  for (int64_t b = 0; b < 2; ++b) {
    const auto text = at::cat({text_to(in, b, paths[static_cast<size_t>(b)]), piece(in, b, 9, 2)}, 1);
    EXPECT_LT(gap(after[b][1], in_a_row(in, b, text)), 1e-9) << "after the path, row " << b;
  }
  if (!refusal.empty()) return;
  // Back behind the tree, which is then taken again, and another path of it stays.
  state.roll_back(2);
  append(tree_of(in), state);
  state = state.fork(at::tensor({1, 0}, at::kLong));
  state.keep(at::tensor({0, 1, 4, 0, 1, 3}, at::kLong).view({2, 3}), at::tensor({3, 3}, at::kLong));
  const auto again = append({{subject().field, in.at(subject().field).narrow(1, 9, 1).flip(0)}}, state);
  for (int64_t i = 0; i < 2; ++i) {
    const int64_t b = 1 - i;
    const auto text = at::cat({text_to(in, b, path_to(b == 1 ? 4 : 3)), piece(in, b, 9, 1)}, 1);
    EXPECT_LT(gap(again[i][0], in_a_row(in, b, text)), 1e-9) << "after the second path, row " << b;
  }
}

TEST_P(Trees, GiveInForwardWhatTheyGiveInAnAppend) {
  if (!build_decoded()) GTEST_SKIP() << reason();
  if (!when(subject().field != "decoder_input_ids", "two inputs")) GTEST_SKIP() << reason();
  const at::NoGradGuard guard;
  const auto in = inputs(subject(), 2, 3 + kNodes);
  auto tree = tree_of(in);
  Tensor out;
  const auto refusal = refusal_of([&] { out = run(model(), tree); });
  if (!refusal.empty()) return expect_named(refusal, model());
  for (int64_t b = 0; b < 2; ++b)
    for (int64_t node = 0; node < kNodes; ++node) {
      std::vector<Tensor> text;
      for (const int64_t one : path_to(node)) text.push_back(piece(in, b, 3 + one, 1));
      EXPECT_LT(gap(out[b][node], in_a_row(in, b, at::cat(text, 1))), 1e-9) << "node " << node;
    }
}

// Options of attention that change what a query sees, and layers with two token mixers.
std::vector<Subject> tree_subjects() {
  auto list = model_subjects();
  const auto add = [&](const std::string& name, const std::string& layer) {
    const auto spec = fmt::format(
        R"({{"formwork": 1, "model": {{"type": "decoder", "vocab": {}, "width": {}, "layers": [{}, {}]}}}})",
        kVocab, kWidth, layer, layer);
    list.push_back({"models/decoder/attention_" + name, Json::parse(spec), {}, "input_ids", "logits"});
  };
  const std::string window = R"({"type": "attention", "heads": 2, "window": 3, "position": "alibi"})";
  add("window", R"({"mixer": )" + window + "}");
  add("grouped",
      R"({"mixer": {"type": "attention", "heads": 4, "kv_heads": 2, "fused": false, "qk_norm": "rms_norm",
                               "position": "rotary", "score": {"type": "softmax", "cap": 2}}})");
  add("saturated", R"({"mixer": {"type": "attention", "heads": 2, "score": "saturated"}})");
  add("gate",
      R"({"type": "mag", "channel": "mlp", "memory": {"type": "attention", "heads": 2}, "attention": )" +
          window + "}");
  add("parallel", R"({"type": "parallel", "channel": "mlp", "mixer": )" + window + "}");
  return list;
}

INSTANTIATE_TEST_SUITE_P(Registered, Trees, testing::ValuesIn(tree_subjects()), label_of);

}  // namespace
}  // namespace formwork::conformance
