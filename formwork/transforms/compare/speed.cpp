#include "formwork/transforms/compare/speed.h"

#include <chrono>
#include <functional>

#include "formwork/decode/fast_path.h"
#include "formwork/models/model_io.h"
#include "formwork/transforms/compare/memory_use.h"

namespace formwork {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kShortestTiming = 0.03;  // seconds: short passes are repeated until they fill it

// Units of work a second.
double rate_of(double units, const std::function<void()>& pass) {
  const auto start = Clock::now();
  double seconds = 0;
  int64_t passes = 0;
  do {
    pass();
    ++passes;
    seconds = std::chrono::duration<double>(Clock::now() - start).count();
  } while (seconds < kShortestTiming);
  return units * static_cast<double>(passes) / seconds;
}

void prefill(Model& model, const Batch& batch) {
  auto ctx = model.make_context();
  model.forward(ctx, batch.inputs);
}

void decode(Model& model, int64_t tokens) {
  auto ctx = model.make_context();
  StateOptions options;
  options.capacity = tokens;
  options.dtype = model.inventory().dtype;
  std::string reason;
  if (const auto fast = FastPath::make(model, options, reason)) {
    const auto one = at::zeros({1, 1}, at::kLong);
    for (int64_t i = 0; i < tokens; ++i) fast->append(one);
    return;
  }
  auto state = model.make_state(ctx, {}, options);
  const Record one = {{"input_ids", at::zeros({1, 1}, at::kLong)}};
  for (int64_t i = 0; i < tokens; ++i) model.append(ctx, one, state);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

}  // namespace

Json measure_turn(const std::string& folder, const Batch& batch, int64_t decode_tokens) {
  const at::NoGradGuard guard;
  const ResidentPeak peak;
  const auto model = load_model(folder);
  Json turn = Json::object();
  prefill(*model, batch);
  turn["prefill"] = rate_of(static_cast<double>(batch.token_count()), [&] { prefill(*model, batch); });
  if (model->traits().causal) {
    decode(*model, std::min<int64_t>(2, decode_tokens));
    turn["decode"] = rate_of(static_cast<double>(decode_tokens), [&] { decode(*model, decode_tokens); });
  }
  if (const int64_t bytes = peak.bytes(); bytes >= 0) turn["peak"] = bytes;
  return turn;
}

Json median_of_turns(const std::vector<Json>& turns) {
  static const std::map<std::string, std::string> names = {
      {"prefill", "prefill tokens/s"}, {"decode", "decode tokens/s"}, {"peak", "peak bytes"}};
  std::map<std::string, std::vector<double>> values;
  for (const auto& turn : turns)
    for (const auto& [name, value] : turn.items()) values[name].push_back(value.get<double>());
  Json row = Json::object();
  for (const auto& [name, list] : values)
    if (name == "peak")
      row[names.at(name)] = static_cast<int64_t>(median(list));
    else
      row[names.at(name)] = median(list);
  return row;
}

}  // namespace formwork
