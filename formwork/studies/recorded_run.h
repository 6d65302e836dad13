// Recorded runs: what `formwork reproduce NAME --record docs/results/NAME.json` wrote, one file a system,
// carried by the library. The state of a system and its last measured claims are read from there.
#pragma once
#include <string>

#include "formwork/core/tensor.h"

namespace formwork {

struct RecordedRun {
  std::string date, commit;        // UTC; the commit of the program that ran
  int64_t expected = 0, held = 0;  // claims with an expectation, and those of them that hold
  Json json;                       // the file: recipe, command, seed, machine, claims, ...

  bool holds() const { return expected > 0 && held == expected; }
  // {"date", "commit", "expected", "held", "claims": [{"claim", "published", "here", "expected", "holds"}]}
  Json summary() const;
};

// A file's contents. Throws, naming `path`, for anything that reproduce does not write, and for a scale
// below 1.
RecordedRun read_recorded_run(const std::string& path, const Json& json);

// The last recorded run of a system, by its key; null where there is none.
const RecordedRun* recorded_run(const std::string& key);
// The systems that have one, by key.
std::vector<std::string> recorded_systems();

// This computer as it is written into results: {"processor", "cores", "threads", "libtorch"}.
Json this_machine();

}  // namespace formwork
