// CD-T (2024): contextual decomposition of a transformer is exact, finds the circuit of an induction model at
// a fraction of the passes that patching takes, and ranks the words of a sentence by what they decide.
#include "formwork/studies/recipes/cdt_exactness.h"
#include "formwork/studies/recipes/cdt_induction.h"
#include "formwork/studies/recipes/cdt_sentiment.h"

namespace formwork {
namespace {

class CdtStudy final : public Study {
 public:
  struct Options {
    int64_t sources = 200;
    InductionOptions induction;
    SentimentOptions sentiment;
    void describe(Fields& f) {
      f.integer("sources", sources, "random sources of the exactness on random models", 1, 100000);
      induction.describe(f);
      sentiment.describe(f);
    }
  };
  explicit CdtStudy(const Options& options) : options_(options) {}
  std::vector<Claim> run(StudyContext& ctx) override {
    auto claims = cdt_exactness_claims(ctx, options_.sources);
    for (const auto& more :
         {cdt_induction_claims(ctx, options_.induction), cdt_sentiment_claims(ctx, options_.sentiment)})
      claims.insert(claims.end(), more.begin(), more.end());
    return claims;
  }

 private:
  Options options_;
};

FORMWORK_PART(Study, CdtStudy, "contextual_decomposition_cdt",
              "exact splits, the circuit of an induction model, and words of SST-2");

}  // namespace
}  // namespace formwork
