// Models of one token tower: its stream is "residual", and a head reads it off. Decoder and encoder differ in
// what they take and in what a state means.
#pragma once
#include "formwork/models/token_tower.h"

namespace formwork {

class TowerModel : public Model, public SplitModelFacet {
 public:
  using Options = TowerModelOptions;

  Streams start(Context& ctx, const Record& in) override;
  void run(Context& ctx, int64_t first, int64_t last, Streams& streams) override;
  void finish(Context& ctx, const Streams& streams, Record& out) override;
  std::vector<std::string> segments() const override { return tower_.segments(); }
  Split carry(SplitPass& pass, int64_t first, int64_t last, Split x) override {
    return tower_.carry(pass, first, last, std::move(x));
  }
  Split finish(SplitPass& pass, const Split& x) override { return tower_.finish(pass, *head_, x); }

 protected:
  // `fields` of the record that it takes beside the tokens.
  TowerModel(const Build& build, const Options& options, bool causal, std::vector<std::string> fields);

  TokenTower tower_;
  std::unique_ptr<Head> head_;

 private:
  std::vector<std::string> fields_;
};

}  // namespace formwork
