#include "formwork/transforms/compare/compare.h"

#include <c10/util/Exception.h>

#include <chrono>

#include "formwork/report/chart.h"
#include "formwork/report/progress.h"
#include "formwork/transforms/compare/ledger.h"
#include "formwork/transforms/compare/memory_use.h"
#include "formwork/transforms/compare/quality.h"
#include "formwork/transforms/compare/speed.h"

namespace formwork {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int64_t kCalibrationBatches = 4;

// With padding; one a row where the inputs are no tokens.
int64_t token_count(const Record& inputs) {
  const auto found = inputs.find("input_ids");
  return found == inputs.end() ? inputs.begin()->second.size(0) : found->second.numel();
}

class Comparison {
 public:
  Comparison(const CompareInput& input, const WorkFolder& work)
      : input_(input),
        options_(input.options),
        work_(work),
        plan_(plan_candidates(input.methods, input.options.recover)),
        batch_(input.task.evaluation_batch(options_.batch, 0)) {
    const auto shapes = build_model(read_spec(input.model), 0, at::kFloat,
                                    /*allocate=*/false);
    input.task.check(*shapes);
    for (int64_t i = 0; i < kCalibrationBatches; ++i)
      data_.batches.push_back(input.task.training_batch(options_.batch, 0, i).inputs);
    data_.findings = std::make_shared<Findings>();
    ledger_.emplace(input, data_, work);
    if (ledger_->is_finished(plan_)) return;
    check_room(*shapes);
    measure_turn(input.model, batch_, options_.decode_tokens);  // what cannot run is found out here
    if (!input.quiet) progress_.emplace("pareto", total_work(), work_at_start());
  }

  std::vector<Json> run() {
    for (const auto& candidate : plan_) {
      if (rows_.empty() || is_tried(candidate, rows_.back())) {
        rows_.push_back(row(candidate));
        if (is_made(rows_.back())) rows_.back()["model"] = ledger_->model_folder(candidate).string();
        candidates_.push_back(candidate);
      }
      advance(row_work(candidate));
    }
    original_.reset();
    measure_speeds();
    if (progress_) progress_->finish();
    mark_front();
    return std::move(rows_);
  }

 private:
  void check_room(const Model& shapes) const {
    const int64_t model_bytes = bytes_on_disk(input_.model);
    const int64_t tokens = std::max(token_count(batch_.inputs), token_count(data_.batches[0]));
    const int64_t needed = estimate_memory(shapes, model_bytes, tokens, options_.recover);
    const int64_t available = available_memory();
    if (needed > available)
      fail("comparing needs about {} of memory and {} are available; use a smaller batch or shorter samples",
           short_bytes(static_cast<double>(needed)), short_bytes(static_cast<double>(available)));
    // A training keeps two checkpoints at a time, each of weights and moments.
    const double disk =
        static_cast<double>(model_bytes) * static_cast<double>(plan_.size() + (options_.recover > 0 ? 6 : 0));
    const auto free = static_cast<double>(fs::space(work_.path()).available);
    if (disk > free)
      fail("the models need about {} on disk and '{}' has {} left; choose another place with --work",
           short_bytes(disk), work_.path().string(), short_bytes(free));
  }

  Recovery recovery(const Candidate& candidate) const {
    return {candidate.recover, options_.batch, options_.recover_seed, options_.recover_rate};
  }

  Json row(const Candidate& candidate) {
    if (auto kept = ledger_->row(candidate)) return *kept;
    say(candidate_text(candidate));
    Json row = {
        {"method", candidate.method}, {"options", candidate.options}, {"recovered", candidate.recover}};
    const auto refuse = [&](const std::string& reason) {
      if (candidate.method == kOriginal && candidate.recover == 0) fail("{}: {}", input_.model, reason);
      row["reason"] = reason;
    };
    try {
      row.update(made_row(candidate));
    } catch (const NothingChanged&) {
      throw;
    } catch (const Error& error) {
      refuse(error.what());
    } catch (const c10::Error& error) {
      const std::string text = error.what_without_backtrace();
      refuse(text.substr(0, text.find('\n')));
    }
    ledger_->keep_row(candidate, row);
    return row;
  }

  Json made_row(const Candidate& candidate) {
    const auto start = Clock::now();
    const auto folder = ledger_->model_folder(candidate);
    Json row = make_model(candidate, folder);
    row["seconds"] = std::chrono::duration<double>(Clock::now() - start).count();
    // Measured as it was saved, not as it was made.
    const auto saved = folder == input_.model ? original() : load_model(folder.string());
    row.update(measure_quality(*original(), *saved, input_.task, options_.samples, options_.batch));
    row["bytes"] = bytes_on_disk(folder.string());
    row["parameters"] = saved->parameter_count();
    const auto tokens = batch_.inputs.find("input_ids");
    row["flops/token"] = saved->flops_per_token(tokens == batch_.inputs.end() ? 1 : tokens->second.size(-1));
    return row;
  }

  // Saves the candidate's model; returns what its method says of it.
  Json make_model(const Candidate& candidate, const fs::path& folder) {
    if (candidate.recover > 0) {
      const Candidate base{candidate.method, candidate.options, 0};
      const auto model = load_model(ledger_->model_folder(base).string());
      recover(*model, input_.task, recovery(candidate), folder.string() + ".training");
      save_model(*model, folder.string());
      return method_fields(*ledger_->row(base));
    }
    if (candidate.method == kOriginal) return Json::object();
    const auto made = compress(candidate, original(), data_);
    save_model(*made.model, folder.string());
    Json fields = Json::object();
    if (!made.warnings.empty()) fields["warnings"] = made.warnings;
    if (made.budget)
      fields.update({{"budget", made.budget->measure},
                     {"asked", made.budget->asked},
                     {"reached", made.budget->reached}});
    return fields;
  }

  // What the method said of itself.
  static Json method_fields(const Json& base) {
    Json fields = Json::object();
    for (const char* name : {"warnings", "budget", "asked", "reached"})
      if (base.contains(name)) fields[name] = base[name];
    return fields;
  }

  const std::shared_ptr<Model>& original() {
    if (!original_) original_ = load_model(input_.model);
    return original_;
  }

  void measure_speeds() {
    std::vector<size_t> at;
    std::vector<Candidate> made;
    for (size_t i = 0; i < rows_.size(); ++i)
      if (is_made(rows_[i])) at.push_back(i), made.push_back(candidates_[i]);
    auto rounds = ledger_->rounds(made);
    advance(static_cast<int64_t>(rounds.size() * plan_.size()) * kTurnWork);
    while (static_cast<int64_t>(rounds.size()) < options_.repeats) {
      rounds.push_back(measure_round(made, rounds.size()));
      ledger_->keep_rounds(made, rounds);
      advance(static_cast<int64_t>(plan_.size() - made.size()) * kTurnWork);
    }
    for (size_t i = 0; i < made.size(); ++i) {
      std::vector<Json> turns;
      for (const auto& round : rounds) turns.push_back(round[i]);
      rows_[at[i]].update(median_of_turns(turns));
    }
  }

  // A turn for each model; every round begins with another, so that none is always the first.
  Json measure_round(const std::vector<Candidate>& made, size_t round) {
    Json turns = Json::array();
    turns.get_ref<Json::array_t&>().resize(made.size());
    for (size_t i = 0; i < made.size(); ++i) {
      const size_t which = (i + round) % made.size();
      say(fmt::format("speed, round {} of {}", round + 1, options_.repeats));
      turns[which] =
          measure_turn(ledger_->model_folder(made[which]).string(), batch_, options_.decode_tokens);
      advance(kTurnWork);
    }
    return turns;
  }

  void mark_front() {
    std::vector<Json> made;
    std::vector<size_t> at;
    for (size_t i = 0; i < rows_.size(); ++i)
      if (is_made(rows_[i])) {
        rows_[i]["front"] = false;
        made.push_back(rows_[i]);
        at.push_back(i);
      }
    for (const size_t i : pareto_front(made, "bytes", Better::smaller, "loss", Better::smaller))
      rows_[at[i]]["front"] = true;
  }

  // Work is counted in passes over a batch, so that the time left is fair to slow and quick rows alike.
  static constexpr int64_t kTurnWork = 6, kCompressWork = 2 * kCalibrationBatches, kTrainingWork = 3;
  int64_t row_work(const Candidate& candidate) const {
    const int64_t samples = options_.samples_of(input_.task);
    const int64_t quality = 2 * ((samples + options_.batch - 1) / options_.batch);
    return quality + (candidate.recover > 0 ? kTrainingWork * candidate.recover : kCompressWork);
  }
  int64_t total_work() const {
    int64_t total = static_cast<int64_t>(plan_.size()) * options_.repeats * kTurnWork;
    for (const auto& candidate : plan_) total += row_work(candidate);
    return total;
  }
  int64_t work_at_start() const {
    int64_t done = 0;
    for (const auto& candidate : plan_)
      if (ledger_->row(candidate)) done += row_work(candidate);
    return done;
  }
  void advance(int64_t work) {
    work_done_ += work;
    if (progress_) progress_->update(work_done_);
  }
  void say(const std::string& what) {
    if (progress_) progress_->update(work_done_, {{"now", what}});
  }

  const CompareInput& input_;
  const CompareOptions& options_;
  const WorkFolder& work_;
  std::vector<Candidate> plan_;
  Batch batch_;
  Calibration data_;
  std::optional<Ledger> ledger_;
  std::shared_ptr<Model> original_;
  std::vector<Json> rows_;
  std::vector<Candidate> candidates_;  // of each row
  std::optional<Progress> progress_;
  int64_t work_done_ = 0;
};

}  // namespace

std::vector<Json> compare(const CompareInput& input, const WorkFolder& work) {
  return Comparison(input, work).run();
}

int64_t estimate_memory(const Model& shapes, int64_t model_bytes, int64_t tokens, int64_t recover) {
  const auto& inventory = shapes.inventory();
  const auto vocab = inventory.axes.find("vocab");
  const int64_t logits = tokens * (vocab == inventory.axes.end() ? 1 : vocab->second.size) * 4;
  int64_t moments = 0, widest = 0, through = 0;
  for (const auto* map : inventory.maps) {
    if (!why_not_block_map(*map).empty()) continue;
    const int64_t size = std::max(map->in(), map->out());
    moments += size * size * 8;
    widest = std::max(widest, size);
    through += map->in() + map->out();
  }
  const int64_t compressing = 3 * model_bytes + moments + 8 * tokens * widest * 4;
  const int64_t training = recover > 0 ? 6 * model_bytes + 2 * tokens * through * 4 : 0;
  return std::max(compressing, training) + 6 * logits;
}

std::optional<size_t> best_row_of_size(const std::vector<Json>& rows, double share) {
  const double most = share * rows.at(0).at("bytes").get<double>();
  std::optional<size_t> best;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto& row = rows[i];
    if (row["method"] == kOriginal || !is_made(row) || row["bytes"].get<double>() > most) continue;
    if (!best || row["loss"].get<double>() < rows[*best]["loss"].get<double>()) best = i;
  }
  return best;
}

std::optional<size_t> best_small_row(const std::vector<Json>& rows, double margin) {
  const double limit = rows.at(0).at("loss").get<double>() + margin;
  std::optional<size_t> best;
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto& row = rows[i];
    if (row["method"] == kOriginal || !row.value("front", false) || row["loss"].get<double>() > limit)
      continue;
    if (!best || row["bytes"].get<int64_t>() < rows[*best]["bytes"].get<int64_t>()) best = i;
  }
  return best;
}

}  // namespace formwork
