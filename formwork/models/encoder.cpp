// Encoder: every token sees every other (Devlin et al., 2018). Stem (with token types where asked), stack,
// final norm, head.
#include "formwork/models/tower_model.h"

namespace formwork {
namespace {

class Encoder final : public TowerModel {
 public:
  struct Options : TowerModel::Options {
    Options() : TowerModel::Options("hidden") {}
    void describe(Fields& f) {
      TowerModel::Options::describe(f);
      f.integer("segments", segments, "token types, each with a vector added to the embedding; 0: none", 0,
                1 << 20);
    }
  };

  Encoder(Build& build, const Options& options)
      : TowerModel(build, options, /*causal=*/false, fields(options.segments > 0)) {}

 private:
  static std::vector<std::string> fields(bool segments) {
    std::vector<std::string> names = {"attention_mask", "position_ids", "offsets"};
    if (segments) names.push_back("token_type_ids");
    return names;
  }
};

FORMWORK_PART(Model, Encoder, "encoder", "tokens that see each other: masked LM, classifier, embedder");

}  // namespace
}  // namespace formwork
