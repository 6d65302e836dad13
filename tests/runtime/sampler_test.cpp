// The runtime draws what the decode strategies of the full program draw.
#include "formwork/runtime/sampler.h"

#include "runtime/fixtures.h"

namespace formwork {
namespace {

std::vector<int64_t> by_strategy(Model& model, const std::string& name, const Json& options, uint64_t seed) {
  DecodeRequest request;
  request.prompt = at::tensor(some_ids(5), at::kLong).unsqueeze(0);
  request.tokens = 30, request.seed = seed, request.plain = true;
  return Registry<DecodeStrategy>::make({name, options})->decode(model, request).front().tokens;
}

std::vector<int64_t> by_runtime(const InRuntime& model, const Json& options, uint64_t seed) {
  runtime::Sampler sampler(parse_options<SampleOptions>(options, "test"));
  auto session = model.session();
  auto written = some_ids(5);
  std::vector<int64_t> made;
  runtime::Append append{0, written};
  for (uint64_t step = 0; step < 30; ++step) {
    const float* logits = session.append({&append, 1});
    made.push_back(sampler.draw({logits, 29}, written, seed, 0, step));
    written.push_back(made.back());
    append.ids = {&written.back(), 1};
  }
  return made;
}

TEST(Sampler, DrawsWhatTheStrategyDraws) {
  const auto plain = noisy_float(small_spec(), 0.1);
  const InRuntime model(plain);
  const char* const all[] = {R"({})", R"({"temperature": 0.7, "top_k": 5})",
                             R"({"temperature": 2, "top_p": 0.6})", R"({"min_p": 0.2, "repetition": 1.5})",
                             R"({"temperature": 1.5, "top_k": 9, "top_p": 0.8, "min_p": 0.01})"};
  for (const char* options : all)
    for (const uint64_t seed : {0, 1, 99})
      EXPECT_EQ(by_runtime(model, Json::parse(options), seed),
                by_strategy(*plain, "sample", Json::parse(options), seed))
          << options;
}

TEST(Sampler, GreedyTakesTheFirstOfEquals) {
  const std::vector<float> logits = {0, 2, 1, 2};
  EXPECT_EQ(runtime::greedy(logits), 1);
}

}  // namespace
}  // namespace formwork
