#include "formwork/transforms/compare.h"

#include <chrono>
#include <filesystem>

#include "formwork/report/chart.h"
#include "formwork/train/evaluate.h"

namespace formwork {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

Tensor logits_of(Model& model, const Record& inputs) {
  auto ctx = model.make_context();
  return model.forward(ctx, inputs).at("logits");
}

// Mean and standard error of one number a sample.
std::pair<double, double> mean_and_error(const std::vector<double>& values) {
  const auto n = static_cast<double>(values.size());
  double sum = 0, squares = 0;
  for (const double v : values) sum += v;
  const double mean = sum / n;
  for (const double v : values) squares += (v - mean) * (v - mean);
  return {mean, n > 1 ? std::sqrt(squares / (n - 1) / n) : 0};
}

// KL(original || model) in nats and agreement of the top-1 token, averaged over the targets of each sample.
struct Fidelity {
  std::vector<double> divergence, agreement;
  void add(const Tensor& original, const Tensor& model, const Tensor& targets) {
    const auto p = original.to(at::kFloat).log_softmax(-1), q = model.to(at::kFloat).log_softmax(-1);
    const auto kl = (p.exp() * (p - q)).sum(-1), same = p.argmax(-1).eq(q.argmax(-1)).to(at::kFloat);
    const auto keep = targets.ne(-100);
    for (int64_t row = 0; row < targets.size(0); ++row) {
      const auto real = keep[row];
      if (!real.any().item<bool>()) continue;
      divergence.push_back(kl[row].masked_select(real).mean().item<double>());
      agreement.push_back(same[row].masked_select(real).mean().item<double>());
    }
  }
};

Fidelity fidelity(Model& original, Model& model, const Task& task, const CompareOptions& options) {
  Fidelity result;
  const int64_t all = task.evaluation_samples();
  int64_t left = options.samples ? std::min(options.samples, all) : all;
  for (int64_t index = 0; left > 0; ++index) {
    const auto batch = task.evaluation_batch(options.batch, index).narrow(0, std::min(left, options.batch));
    left -= options.batch;
    result.add(logits_of(original, batch.inputs), logits_of(model, batch.inputs), batch.targets);
  }
  return result;
}

double prefill_speed(Model& model, const Batch& batch) {
  const auto start = Clock::now();
  logits_of(model, batch.inputs);
  return static_cast<double>(batch.token_count()) / seconds_since(start);
}

double decode_speed(Model& model, int64_t tokens) {
  auto ctx = model.make_context();
  StateOptions options;
  options.capacity = tokens + 1;
  auto state = model.make_state(ctx, {}, options);
  const Record one = {{"input_ids", at::zeros({1, 1}, at::kLong)}};
  model.append(ctx, one, state);
  const auto start = Clock::now();
  for (int64_t i = 0; i < tokens; ++i) model.append(ctx, one, state);
  return static_cast<double>(tokens) / seconds_since(start);
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<int64_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

int64_t saved_bytes(const Model& model) {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("formwork-compare-{}", getpid());
  save_model(model, folder.string());
  const auto bytes = bytes_on_disk(folder.string());
  std::filesystem::remove_all(folder);
  return bytes;
}

Json quality_row(Model& original, const Candidate& candidate, Task& task, const CompareOptions& options) {
  auto& model = *candidate.model;
  EvaluateOptions evaluation;
  evaluation.batch = options.batch, evaluation.samples = options.samples;
  const auto metrics = evaluate(model, task, evaluation);
  const auto measured = fidelity(original, model, task, options);
  const auto [kl, kl_error] = mean_and_error(measured.divergence);
  const auto [same, same_error] = mean_and_error(measured.agreement);
  return {{"method", candidate.method},
          {"options", candidate.options.dump()},
          {"loss", metrics.loss},
          {"samples", metrics.samples},
          {"kl", kl},
          {"kl error", kl_error},
          {"top-1", same},
          {"top-1 error", same_error},
          {"bytes", saved_bytes(model)},
          {"parameters", model.parameter_count()},
          {"flops/token", model.flops_per_token(128)},
          {"seconds", candidate.seconds}};
}

}  // namespace

std::vector<Candidate> make_candidates(const std::shared_ptr<Model>& model, const Calibration& data,
                                       const std::vector<std::string>& methods) {
  std::vector<Candidate> list;
  for (const auto& method : methods)
    for (const auto& budget : Catalog<Transform>::make(method, Json::object())->budgets()) {
      Candidate candidate{method, budget, nullptr, "", 0};
      const auto start = Clock::now();
      try {
        candidate.model = Catalog<Transform>::make(method, budget)->apply(model, data).model;
      } catch (const Error& error) {
        candidate.reason = error.what();
      }
      candidate.seconds = seconds_since(start);
      if (candidate.model == model) fail("{} {} changed nothing", method, budget.dump());
      list.push_back(std::move(candidate));
    }
  return list;
}

std::vector<Json> compare(const std::shared_ptr<Model>& original, std::vector<Candidate> candidates,
                          Task& task, const CompareOptions& options) {
  const at::NoGradGuard guard;
  candidates.insert(candidates.begin(), Candidate{"original", Json::object(), original, "", 0});
  std::vector<Json> rows;
  std::vector<Model*> models;
  for (const auto& candidate : candidates) {
    if (!candidate.model) {
      rows.push_back({{"method", candidate.method},
                      {"options", candidate.options.dump()},
                      {"reason", candidate.reason}});
      models.push_back(nullptr);
      continue;
    }
    rows.push_back(quality_row(*original, candidate, task, options));
    models.push_back(candidate.model.get());
  }
  const auto batch = task.evaluation_batch(options.batch, 0);
  std::vector<std::vector<double>> prefill(rows.size()), decode(rows.size());
  // Models take turns, so that the machine's other work falls on all of them alike.
  for (int64_t round = 0; round < options.repeats; ++round)
    for (size_t i = 0; i < models.size(); ++i) {
      if (!models[i]) continue;
      prefill[i].push_back(prefill_speed(*models[i], batch));
      if (models[i]->traits().causal) decode[i].push_back(decode_speed(*models[i], options.decode_tokens));
    }
  std::vector<Json> made;
  std::vector<size_t> made_at;
  for (size_t i = 0; i < rows.size(); ++i) {
    if (!models[i]) continue;
    rows[i]["prefill tokens/s"] = median(prefill[i]);
    if (!decode[i].empty()) rows[i]["decode tokens/s"] = median(decode[i]);
    rows[i]["front"] = false;
    made.push_back(rows[i]);
    made_at.push_back(i);
  }
  for (const size_t i : pareto_front(made, "bytes", Better::smaller, "loss", Better::smaller))
    rows[made_at[i]]["front"] = true;
  return rows;
}

}  // namespace formwork
