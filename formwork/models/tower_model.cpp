#include "formwork/models/tower_model.h"

namespace formwork {
namespace {

Build with_stream(Build build, int64_t width, bool causal) {
  build.in = build.out = build.stream("residual", width);
  build.causal = causal;
  return build;
}

}  // namespace

TowerModel::TowerModel(const Build& build, const Options& options, bool causal,
                       std::vector<std::string> fields)
    : tower_(with_stream(build, options.width, causal), options), fields_(std::move(fields)) {
  fields_.push_back(tower_.field());
  head_ = tower_.make_head(build, options.head, options.tie);
}

Streams TowerModel::start(Context& ctx, const Record& in) {
  check_fields(in, fields_);
  return {{"residual", tower_.start(ctx, in, "")}};
}

void TowerModel::run(Context& ctx, int64_t first, int64_t last, Streams& streams) {
  tower_.run(ctx, first, last, streams.at("residual"));
}

void TowerModel::finish(Context& ctx, const Streams& streams, Record& out) {
  tower_.finish(ctx, streams.at("residual"), *head_, out);
}

}  // namespace formwork
