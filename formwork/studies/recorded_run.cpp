#include "formwork/studies/recorded_run.h"

#include <ATen/Parallel.h>
#include <torch/headeronly/version.h>

#include <filesystem>
#include <map>
#include <sstream>
#include <thread>

#include "formwork/core/error.h"
#include "formwork/core/file.h"

// Set by the assembler, see cmake/EmbedAssets.cmake.
extern "C" __attribute__((visibility("hidden"))) const char formwork_results_begin[], formwork_results_end[];

namespace formwork {
namespace {

const std::map<std::string, RecordedRun>& runs() {
  static const auto list = [] {
    std::map<std::string, RecordedRun> list;
    const auto files = Json::parse(formwork_results_begin, formwork_results_end);
    for (const auto& [path, json] : files.items())
      list.emplace(std::filesystem::path(path).stem(), read_recorded_run(path, json));
    return list;
  }();
  return list;
}

std::string processor() {
  std::istringstream lines(read_file("/proc/cpuinfo"));
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("model name")) return line.substr(line.find(':') + 2);
  return "not named";
}

}  // namespace

Json RecordedRun::summary() const {
  return {{"date", date},
          {"commit", commit},
          {"expected", expected},
          {"held", held},
          {"claims", json.at("claims")}};
}

RecordedRun read_recorded_run(const std::string& path, const Json& json) {
  RecordedRun run;
  run.json = json;
  try {
    json.at("date").get_to(run.date);
    json.at("commit").get_to(run.commit);
    for (const char* key : {"system", "recipe", "command", "seed", "machine"}) json.at(key);
    if (const auto scale = json.at("scale").get<double>(); scale < 1)
      fail("{}: expected a run at scale 1, found {:g}", path, scale);
    for (const auto& claim : json.at("claims")) {
      for (const char* key : {"claim", "published", "here", "expected"}) claim.at(key);
      const auto& holds = claim.at("holds");
      if (holds.is_null()) continue;
      ++run.expected;
      if (holds.get<bool>()) ++run.held;
    }
  } catch (const Json::exception& error) {
    fail("{}: {}", path, error.what());
  }
  return run;
}

const RecordedRun* recorded_run(const std::string& key) {
  const auto found = runs().find(key);
  return found == runs().end() ? nullptr : &found->second;
}

std::vector<std::string> recorded_systems() {
  std::vector<std::string> keys;
  for (const auto& [key, run] : runs()) keys.push_back(key);
  return keys;
}

Json this_machine() {
  return {{"processor", processor()},
          {"cores", std::thread::hardware_concurrency()},
          {"threads", at::get_num_threads()},
          {"libtorch", TORCH_VERSION}};
}

}  // namespace formwork
