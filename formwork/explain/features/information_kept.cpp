#include "formwork/explain/features/information_kept.h"

#include <ATen/core/grad_mode.h>

#include "formwork/explain/probe.h"
#include "formwork/train/steps/local_modules.h"

namespace formwork {
namespace {

constexpr int64_t kLeastKeptRows = 8;

// The later stream [N, T, D], and the earlier one in its tokens, [N, T, D'].
struct TwoStreams {
  Tensor later, earlier;
};

// The tokens that lie in each token of a coarser map, as its channels: x [B, T, D] -> [B, T', D T / T'].
Tensor gathered(const Stream& fine, const Stream& coarse) {
  if (fine.x.size(1) == coarse.x.size(1)) return fine.x;
  const auto &from = fine.layout.dims, &to = coarse.layout.dims;
  if (from.size() != 2 || to.size() != 2 || from[0].size % to[0].size || from[1].size % to[1].size)
    fail("information_kept: expected a map that is coarser by whole factors, found {} tokens after {}",
         coarse.x.size(1), fine.x.size(1));
  const int64_t rows = from[0].size / to[0].size, columns = from[1].size / to[1].size;
  // [B, h, row, w, column, D] -> [B, h w, row column D]
  return fine.x.unflatten(1, {to[0].size, rows, to[1].size, columns})
      .permute({0, 1, 3, 2, 4, 5})
      .flatten(3)
      .flatten(1, 2);
}

TwoStreams streams_of(Model& model, const std::vector<Record>& batches, const std::string& earlier,
                      const std::string& later) {
  const auto ends = named_cuts(model.segments(), {earlier, later});
  std::vector<Tensor> coarse, fine;
  for (const auto& batch : batches) {
    auto ctx = model.make_context();
    auto streams = model.start(ctx, batch);
    if (streams.size() != 1)
      fail("information_kept: expected a model of one stream, found {}", streams.size());
    auto& stream = streams.begin()->second;
    if (stream.layout.lengths.defined() || stream.layout.packed())
      fail("information_kept: expected rows of one length, found others");
    model.run(ctx, 0, ends[0], streams);
    const auto before = stream;
    model.run(ctx, ends[0], ends[1], streams);
    coarse.push_back(stream.x.to(at::kDouble));
    fine.push_back(gathered(before, stream).to(at::kDouble));
  }
  return {at::cat(coarse), at::cat(fine)};
}

class InformationKeptProbe final : public Probe {
 public:
  struct Options {
    std::string earlier, later;
    void describe(Fields& f) {
      f.text("earlier", earlier, "segment or layer whose output is to be recovered: layers.0");
      f.text("later", later, "a later one, from whose output it is recovered");
    }
  };
  explicit InformationKeptProbe(const Options& options) : options_(options) {}

  Json run(Model& model, const std::vector<Record>& batches) const override {
    const auto found = information_kept(model, batches, options_.earlier, options_.later);
    return {{"rows", found.rows}, {"explained_variance", found.explained}};
  }

 private:
  Options options_;
};

FORMWORK_PART(Probe, InformationKeptProbe, "information_kept",
              "how much of an earlier stream a linear map recovers from a later one");

}  // namespace

InformationKept information_kept(Model& model, const std::vector<Record>& batches, const std::string& earlier,
                                 const std::string& later) {
  const at::NoGradGuard guard;
  const auto streams = streams_of(model, batches, earlier, later);
  InformationKept kept;
  kept.rows = streams.later.size(0);
  const auto held_out = at::arange(kept.rows, at::kLong).remainder(4).eq(3);
  const int64_t fitted = kept.rows - kept.rows / 4;
  if (kept.rows < kLeastKeptRows || fitted * streams.later.size(1) <= streams.later.size(2))
    fail("information_kept: expected at least {} rows to fit and to hold out, found {}",
         std::max(kLeastKeptRows, streams.later.size(2) * 4 / 3 / streams.later.size(1) + 2), kept.rows);
  const auto chosen = [](const Tensor& x, const Tensor& rows) { return x.index({rows}).flatten(0, 1); };
  const auto rest = held_out.logical_not();
  const auto x = chosen(streams.later, rest), t = chosen(streams.earlier, rest);
  // Channels with mean 0 and deviation 1; a ridge far below them keeps those that never change solvable.
  const auto centre = x.mean(0, true), centre_t = t.mean(0, true);
  const auto scale = x.std(0, /*unbiased=*/false, true).clamp_min(1e-30);
  const auto z = (x - centre) / scale;
  auto moments = z.t().matmul(z);
  moments.diagonal().add_(1e-12 * static_cast<double>(x.size(0)));
  const auto map = at::linalg_solve(moments, z.t().matmul(t - centre_t));
  const auto held_z = (chosen(streams.later, held_out) - centre) / scale;
  const auto held_t = chosen(streams.earlier, held_out);
  const double left = (held_z.matmul(map) + centre_t - held_t).square().sum().item<double>();
  kept.explained = 1 - left / (held_t - held_t.mean(0, true)).square().sum().item<double>();
  return kept;
}

}  // namespace formwork
