#include "formwork/train/steps/local_modules.h"

#include <ATen/core/grad_mode.h>

#include <limits>
#include <set>

#include "formwork/report/tensor_peak.h"
#include "formwork/train/train_options.h"

namespace formwork {
namespace {

constexpr int64_t kSurveyRows = 2;

LocalBorder border_of(const Streams& streams) {
  if (streams.size() != 1)
    fail("step rule 'local': expected a model of one stream, found {}", streams.size());
  const auto& stream = streams.begin()->second;
  return {stream.x.size(-1), stream.layout};
}

// "layers.0" of "layers.0.mixer@1".
std::string block_of(const std::string& segment) { return segment.substr(0, segment.rfind('.')); }

// The number of segments up to the end of each block.
std::vector<int64_t> block_ends(const std::vector<std::string>& segments) {
  std::vector<int64_t> ends;
  for (size_t i = 0; i < segments.size(); ++i)
    if (i + 1 == segments.size() || block_of(segments[i]) != block_of(segments[i + 1]))
      ends.push_back(static_cast<int64_t>(i) + 1);
  return ends;
}

int64_t cut_after(const std::vector<std::string>& segments, const std::string& name) {
  int64_t after = 0;
  std::set<std::string> known;
  for (size_t i = 0; i < segments.size(); ++i) {
    const auto& segment = segments[i];
    if (segment == name || block_of(segment) == name) after = static_cast<int64_t>(i) + 1;
    if (name.starts_with(segment + "."))
      fail("step rule 'local': cut '{}' lies inside the segment '{}'; cut after it, or after another", name,
           segment);
    known.insert({segment, block_of(segment)});
  }
  if (after == 0) fail_unknown("step rule 'local': segment", name, {known.begin(), known.end()});
  if (after == static_cast<int64_t>(segments.size()))
    fail("step rule 'local': nothing is left after the cut '{}'", name);
  return after;
}

}  // namespace

SegmentSurvey survey_segments(const TrainingRun& run) {
  const auto rows = std::min(kSurveyRows, run.options.batch);
  const auto batch = run.task.training_batch(rows, static_cast<uint64_t>(run.options.seed), 0);
  const auto count = static_cast<int64_t>(run.model.segments().size());
  const at::AutoGradMode gradients(true);
  const TensorPeak peak;
  SegmentSurvey survey;
  auto ctx = run.model.make_context();
  auto streams = run.model.start(ctx, batch.inputs);
  survey.borders.push_back(border_of(streams));
  int64_t before = 0;
  for (int64_t i = 0; i < count; ++i) {
    run.model.run(ctx, i, i + 1, streams);
    survey.borders.push_back(border_of(streams));
    const int64_t held = peak.held();
    survey.bytes.push_back(held - before);
    before = held;
  }
  Record out;
  run.model.finish(ctx, streams, out);
  if (!survey.bytes.empty()) survey.bytes.back() += peak.held() - before;
  return survey;
}

std::vector<int64_t> named_cuts(const std::vector<std::string>& segments,
                                const std::vector<std::string>& names) {
  std::vector<int64_t> cuts;
  for (const auto& name : names) {
    const int64_t cut = cut_after(segments, name);
    if (!cuts.empty() && cut <= cuts.back())
      fail("step rule 'local': cut '{}' does not come after the one before it", name);
    cuts.push_back(cut);
  }
  return cuts;
}

std::vector<int64_t> balanced_cuts(const std::vector<std::string>& segments,
                                   const std::vector<int64_t>& bytes, int64_t modules) {
  const auto ends = block_ends(segments);
  const auto blocks = static_cast<int64_t>(ends.size());
  if (modules > blocks)
    fail("step rule 'local': {} modules, but the model has {} blocks to cut between", modules, blocks);
  std::vector<int64_t> sum = {0};  // of the first b blocks
  for (size_t i = 0, b = 0; b < ends.size(); ++b) {
    sum.push_back(sum.back());
    for (; static_cast<int64_t>(i) < ends[b]; ++i) sum.back() += bytes[i];
  }
  // most[k][b]: the smallest greatest sum of k + 1 modules over the first b blocks; from[k][b]: the blocks
  // before the last of these modules.
  const auto row = std::vector<int64_t>(static_cast<size_t>(blocks) + 1, std::numeric_limits<int64_t>::max());
  std::vector<std::vector<int64_t>> most(static_cast<size_t>(modules), row), from = most;
  most[0] = sum;
  for (size_t k = 1; k < most.size(); ++k)
    for (size_t b = k + 1; b < row.size(); ++b)
      for (size_t a = k; a < b; ++a) {
        const int64_t greatest = std::max(most[k - 1][a], sum[b] - sum[a]);
        if (greatest < most[k][b]) most[k][b] = greatest, from[k][b] = static_cast<int64_t>(a);
      }
  std::vector<int64_t> cuts;
  auto b = static_cast<size_t>(blocks);
  for (size_t k = most.size() - 1; k > 0; --k) {
    b = static_cast<size_t>(from[k][b]);
    cuts.insert(cuts.begin(), ends[b - 1]);
  }
  return cuts;
}

std::vector<LocalModule> modules_between(const std::vector<std::string>& segments,
                                         const std::vector<int64_t>& cuts) {
  std::vector<LocalModule> modules;
  auto ends = cuts;
  ends.push_back(static_cast<int64_t>(segments.size()));
  int64_t first = 0;
  for (const int64_t last : ends) {
    const auto name = segments.empty() ? "the model"
                                       : fmt::format("{} to {}", segments[static_cast<size_t>(first)],
                                                     segments[static_cast<size_t>(last - 1)]);
    modules.push_back({first, last, name});
    first = last;
  }
  return modules;
}

}  // namespace formwork
