// Where local learning cuts a model: modules are runs of its segments, cut between blocks, where nothing but
// streams passes.
#pragma once
#include "formwork/train/steps/step_rule.h"

namespace formwork {

// Segments [first, last) of a model.
struct LocalModule {
  int64_t first = 0, last = 0;
  std::string name;  // "layers.0.mixer to layers.1.channel"
};

// The stream at a border of segments.
struct LocalBorder {
  int64_t width = 0;
  Layout layout;
};

// What a pass over some rows found.
struct SegmentSurvey {
  std::vector<LocalBorder> borders;  // after the stem, and after each segment
  std::vector<int64_t> bytes;  // of activations that each segment keeps for its backward pass; the stem's are
                               // in the first, those of the final norm and the head in the last
};

// Runs a few rows of the first step in evaluation mode, with gradients. Throws for models of several streams.
SegmentSurvey survey_segments(const TrainingRun& run);

// Cuts at names of segments or of blocks ("layers.1": after its last segment) -> for each the number of
// segments before it, rising. A name inside a segment is refused: nothing is cut inside a residual branch.
std::vector<int64_t> named_cuts(const std::vector<std::string>& segments,
                                const std::vector<std::string>& names);

// K - 1 cuts between blocks that make the greatest sum of a module's `bytes` (of each segment) as small as
// possible, by dynamic programming. Throws when there are fewer blocks than modules.
std::vector<int64_t> balanced_cuts(const std::vector<std::string>& segments,
                                   const std::vector<int64_t>& bytes, int64_t modules);

std::vector<LocalModule> modules_between(const std::vector<std::string>& segments,
                                         const std::vector<int64_t>& cuts);

}  // namespace formwork
