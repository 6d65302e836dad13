// Token stem: x_t = E[id_t] (+ position) (+ segment), then norm and dropout where asked. E [vocab, D]; or,
// with a width e of its own, x_t = P E[id_t], E [vocab, e], P [D, e] (Lan et al., "ALBERT", 2020). With a
// registered stem, what that makes of each token stands in the place of E[id_t].
#pragma once
#include "formwork/linear/linear_map.h"
#include "formwork/norms/norm.h"
#include "formwork/positions/position.h"
#include "formwork/stems/stem.h"

namespace formwork {

class TokenStem final : public Part {
 public:
  struct Options {
    int64_t vocab = 256, segments = 0, embed_width = 0;
    PartSpec source, position = "none", norm;  // source: of the kind "stems"; absent: token ids
    double scale = 1, dropout = 0, std = 0.02;
    std::string vocab_axis = "vocab";
  };
  // build.out is the stream's axis; the embedding map is named `name`, unless another stem's is `shared`.
  TokenStem(const Build& build, const std::string& name, const Options& options, LinearMap* shared = nullptr);

  // tokens [B, T] ids (or [B, T, F], what a source takes), positions [B|1, T], segments [B, T] or undefined
  // -> [B, T, D].
  Tensor forward(Context& ctx, const Tensor& tokens, const Tensor& positions, const Tensor& segments);
  // Null where the tokens are no ids.
  LinearMap* embedding() const { return embedding_; }
  // The field of the record that holds the tokens.
  std::string field() const { return source_ ? source_->field() : "input_ids"; }

 private:
  void make_source(const Build& build, const std::string& name);
  void make_embedding(const Build& build, const std::string& name);
  Tensor look_up(Context& ctx, const Tensor& ids);

  Options options_;
  std::string path_;
  std::unique_ptr<TokenwiseStem> source_;
  std::unique_ptr<LinearMap> own_, project_;
  LinearMap* embedding_;
  std::unique_ptr<Position> position_;
  std::unique_ptr<Norm> norm_;
  Param* segments_ = nullptr;
  Slot output_;
};

}  // namespace formwork
