// Token stem: x_t = E[id_t] (+ position) (+ segment), then norm and dropout where asked. E [vocab, D]; or,
// with a width e of its own, x_t = P E[id_t], E [vocab, e], P [D, e] (Lan et al., "ALBERT", 2020).
#pragma once
#include "formwork/linear/linear_map.h"
#include "formwork/norms/norm.h"
#include "formwork/positions/position.h"

namespace formwork {

class TokenStem final : public Part {
 public:
  struct Options {
    int64_t vocab = 256, segments = 0, embed_width = 0;
    PartSpec position = "none", norm;
    double scale = 1, dropout = 0, std = 0.02;
    std::string vocab_axis = "vocab";
  };
  // build.out is the stream's axis; the embedding map is named `name`, unless another stem's is `shared`.
  TokenStem(const Build& build, const std::string& name, const Options& options, LinearMap* shared = nullptr);

  // ids [B, T], positions [B|1, T], segments [B, T] or undefined -> [B, T, D].
  Tensor forward(Context& ctx, const Tensor& ids, const Tensor& positions, const Tensor& segments);
  LinearMap& embedding() const { return *embedding_; }

 private:
  Options options_;
  std::string path_;
  std::unique_ptr<LinearMap> own_, project_;
  LinearMap* embedding_;
  std::unique_ptr<Position> position_;
  std::unique_ptr<Norm> norm_;
  Param* segments_ = nullptr;
  Slot output_;
};

}  // namespace formwork
