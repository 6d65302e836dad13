#include "formwork/transforms/compare/ledger.h"

#include <ATen/Parallel.h>

#include <set>

#include "formwork/core/content_hash.h"

namespace formwork {
namespace {

namespace fs = std::filesystem;

uint64_t record_hash(const Record& record, uint64_t hash) {
  for (const auto& [name, value] : record) {
    const auto plain = value.contiguous();
    hash = content_hash({static_cast<const char*>(plain.const_data_ptr()), plain.nbytes()},
                        content_hash(name, hash));
  }
  return hash;
}

// Of the calibration rows and of every evaluation sample that is measured.
uint64_t data_hash(const CompareInput& input, const Calibration& data) {
  uint64_t hash = 0;
  for (const auto& batch : data.batches) hash = record_hash(batch, hash);
  const int64_t rows = input.options.batch, samples = input.options.samples_of(input.task);
  for (int64_t done = 0; done < samples; done += rows) {
    const auto batch = input.task.evaluation_batch(rows, done / rows);
    hash = record_hash({{"targets", batch.targets}}, record_hash(batch.inputs, hash));
  }
  return hash;
}

// Of a model's file, or of every file of its folder that says what it computes.
uint64_t model_hash(const fs::path& place) {
  if (fs::is_regular_file(place)) return file_hash(place);
  std::set<fs::path> files;
  for (const auto& entry : fs::directory_iterator(place))
    if (entry.path().extension() == ".safetensors" || entry.path().extension() == ".json")
      files.insert(entry.path());
  uint64_t hash = 0;
  for (const auto& file : files) hash = file_hash(file, hash);
  return hash;
}

}  // namespace

Ledger::Ledger(const CompareInput& input, const Calibration& data, const WorkFolder& work)
    : input_(input),
      work_(work),
      base_({{"model", hash_text(model_hash(input.model))},
             {"program", hash_text(program_hash())},
             {"task", input.task_settings},
             {"data", hash_text(data_hash(input, data))},
             {"samples", input.options.samples},
             {"batch", input.options.batch}}) {}

Json Ledger::identity(const Candidate& candidate) const {
  Json json = base_;
  json["method"] = candidate.method;
  json["options"] = candidate.options;
  if (candidate.recover > 0)
    json["recover"] = {{"steps", candidate.recover},
                       {"rate", input_.options.recover_rate},
                       {"seed", input_.options.recover_seed}};
  return json;
}

fs::path Ledger::model_folder(const Candidate& candidate) const {
  if (candidate.method == kOriginal && candidate.recover == 0) return input_.model;
  return work_.model(candidate.method, identity(candidate));
}

std::optional<Json> Ledger::row(const Candidate& candidate) const {
  auto kept = work_.find(candidate.method, identity(candidate));
  if (!kept || !is_made(*kept)) return kept;
  return fs::exists(model_folder(candidate) / "model.safetensors") ? kept : std::nullopt;
}

void Ledger::keep_row(const Candidate& candidate, const Json& row) const {
  work_.keep(candidate.method, identity(candidate), row);
}

Json Ledger::rounds_identity(const std::vector<Candidate>& made) const {
  Json json = base_;
  json["threads"] = at::get_num_threads();
  json["decode_tokens"] = input_.options.decode_tokens;
  json["models"] = Json::array();
  for (const auto& candidate : made)
    json["models"].push_back(hash_text(content_hash(identity(candidate).dump())));
  return json;
}

Json Ledger::rounds(const std::vector<Candidate>& made) const {
  auto rounds = work_.find("rounds", rounds_identity(made)).value_or(Json::array());
  while (static_cast<int64_t>(rounds.size()) > input_.options.repeats) rounds.erase(rounds.size() - 1);
  return rounds;
}

void Ledger::keep_rounds(const std::vector<Candidate>& made, const Json& rounds) const {
  work_.keep("rounds", rounds_identity(made), rounds);
}

bool Ledger::is_finished(const std::vector<Candidate>& plan) const {
  std::vector<Candidate> made;
  Json before = Json::object();
  for (const auto& candidate : plan) {
    if (!is_tried(candidate, before)) continue;
    const auto kept = row(candidate);
    if (!kept) return false;
    before = *kept;
    if (is_made(before)) made.push_back(candidate);
  }
  return static_cast<int64_t>(rounds(made).size()) >= input_.options.repeats;
}

}  // namespace formwork
