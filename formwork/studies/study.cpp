#include "formwork/studies/study.h"

#include <chrono>
#include <cstdlib>

#include "formwork/core/file.h"
#include "formwork/core/random.h"
#include "formwork/data/embedded_text.h"
#include "formwork/models/model_io.h"
#include "formwork/train/trainer.h"
#include "formwork/transforms/distil/distillation.h"

namespace formwork {

FORMWORK_KIND(Study);

namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

fs::path default_cache() {
  if (const auto folder = environment("XDG_CACHE_HOME"); !folder.empty())
    return fs::path(folder) / "formwork";
  const auto home = environment("HOME");
  if (home.empty()) fail("reproduce: no home folder to keep trained models in; set --cache");
  return fs::path(home) / ".cache" / "formwork";
}

std::string hash_of(const std::string& text) { return fmt::format("{:016x}", hash_name(text, 0)); }

// The contents of every file that an option of the task names, so that other data make another model.
Json data_of(const PartSpec& task) {
  Json hashes = Json::object();
  for (const auto& [key, value] : task.options.items())
    if (value.is_string() && fs::is_regular_file(value.get<std::string>()))
      hashes[key] = hash_of(read_file(value.get<std::string>()));
  return hashes;
}

// Options without the paths, which differ between machines.
Json options_without_paths(const PartSpec& task, const Json& data) {
  Json options = task.options;
  for (const auto& [key, hash] : data.items()) options[key] = hash;
  return options;
}

}  // namespace

StudyContext::StudyContext(std::string study, const StudyOptions& options)
    : study_(std::move(study)), options_(options) {
  if (options_.data_root.empty()) options_.data_root = environment("FORMWORK_DATA");
  cache_ = options_.cache.empty() ? default_cache() : fs::path(options_.cache);
  options_.cache = cache_.string();
}

int64_t StudyContext::scaled(int64_t count, int64_t least) const {
  return std::max(least, static_cast<int64_t>(std::llround(static_cast<double>(count) * options_.scale)));
}

fs::path StudyContext::data_path(const std::string& path) const {
  if (options_.data_root.empty())
    fail("reproduce: this recipe reads '{}'; name the folder that has it by --data-root or FORMWORK_DATA",
         path);
  return fs::path(options_.data_root) / path;
}

std::string StudyContext::data(const std::string& path) const {
  const auto file = data_path(path);
  if (!fs::is_regular_file(file)) fail("reproduce: there is no data file '{}'", file.string());
  return file.string();
}

std::string StudyContext::data_folder(const std::string& path) const {
  const auto folder = data_path(path);
  if (!fs::is_directory(folder)) fail("reproduce: there is no data folder '{}'", folder.string());
  return folder.string();
}

void StudyContext::note(const std::string& stage, double seconds, bool cached) {
  stages_.push_back({{"stage", stage}, {"seconds", seconds}, {"from cache", cached}});
  if (!options_.quiet)
    fmt::print(stderr, "{}: {}{}\n", study_, stage,
               cached ? " (from the cache)" : fmt::format(" ({:.1f} s)", seconds));
}

Trained StudyContext::trained(const std::string& name, Spec spec, const PartSpec& task,
                              TrainOptions options) {
  const auto start = Clock::now();
  Trained made;
  made.task = Registry<Task>::make(task);
  made.task->prepare(spec.meta);
  made.task->shape(spec);
  options.seed += options_.seed;
  const auto data = data_of(task);
  made.key = hash_of(Json{
      {"spec", spec.to_json()},
      {"task", task.type},
      {"options", options_without_paths(task, data)},
      {"course",
       options.course()}}.dump());
  const auto folder = cache_ / "models" / fmt::format("{}-{}", name, made.key);
  const bool there = fs::exists(folder / "result.json");
  if (there) {
    made.model = load_model(folder.string());
  } else {
    fs::create_directories(folder);
    options.folder = folder.string(), options.resume = true, options.quiet = options_.quiet, options.keep = 1;
    made.model = build_model(spec, static_cast<uint64_t>(options.seed));
    train(*made.model, *made.task, options);
    fs::remove_all(folder / "checkpoints");
  }
  note("train " + name, seconds_since(start), there);
  return made;
}

Distilled StudyContext::distilled(const std::string& name, const Trained& teacher, const PartSpec& method) {
  const auto start = Clock::now();
  Distilled made;
  made.key = hash_of(Json{
      {"teacher", teacher.key}, {"method", Registry<Distillation>::in_force(method)}, {"seed", options_.seed}}
                         .dump());
  const auto folder = cache_ / "models" / fmt::format("{}-{}", name, made.key);
  const bool there = fs::exists(folder / "result.json");
  if (!there) {
    fs::create_directories(folder);
    DistilOptions options;
    options.folder = folder.string(), options.seed = options_.seed;
    options.resume = true, options.quiet = options_.quiet;
    distil(teacher.model, *teacher.task, method, options);
  }
  made.student = load_model(folder.string());
  const auto result = Json::parse(read_file(folder / "result.json"));
  size_t index = 0;
  for (const auto& stage : result.at("stages")) {
    const auto of_stage = stage.at("stage").get<std::string>();
    const auto place = stage_folder(folder.string(), ++index, of_stage);
    fs::remove_all(fs::path(place) / "checkpoints");
    made.after[of_stage] = load_model(place);
  }
  note("distil " + name, seconds_since(start), there);
  return made;
}

Json StudyContext::stage(const std::string& name, const Json& settings, const std::function<Json()>& work) {
  const auto start = Clock::now();
  static const std::string sources = hash_of(std::string(embedded_text()));
  const Json key = {{"study", study_},       {"stage", name},           {"settings", settings},
                    {"seed", options_.seed}, {"scale", options_.scale}, {"sources", sources}};
  const auto file = cache_ / "stages" / fmt::format("{}-{}.json", study_, hash_of(key.dump()));
  if (!options_.fresh && fs::exists(file)) {
    note(name, 0, true);
    return Json::parse(read_file(file)).at("found");
  }
  const auto found = work();
  fs::create_directories(file.parent_path());
  write_atomically(file, Json{{"key", key}, {"found", found}}.dump(2) + "\n");
  note(name, seconds_since(start), false);
  return found;
}

}  // namespace formwork
