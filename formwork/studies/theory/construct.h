// Constructions: ordinary decoders whose weights are computed, so that they carry out a given program. The
// residual stream is a set of named blocks of channels, and the basic instruction is RAW,
// read-arithmetic-write (What learning algorithm is in-context learning? Investigations with linear models,
// Akyurek et al., 2023): each token i with a read set K(i) of earlier tokens becomes
//
//   h'_{i,w} = W_o (W_a / |K(i)| sum_{k in K(i)} h_{k,r}  op  W h_{i,s}),   op is + or *
//
// and keeps every other channel; a token with an empty read set stays as it is. One layer does it: attention
// finds K(i) by position, with weights of exactly 1 / |K(i)|, and the MLP does the arithmetic by the two
// identities
//
//   x = g(x) - g(-x),   x y = sqrt(pi / 2) (g(c x + c y) - g(c x) - g(c y)) / c^2 + O(c^2),   g = GELU
//
// The first is exact; the error of the second is c^2 / 12 (4 x^3 y + 6 x^2 y^2 + 4 x y^3) for small c. All
// weights are those of dense linear maps, in double. Positions are known by a channel for each.
#pragma once
#include "formwork/models/model.h"

namespace formwork {

struct Block {
  int64_t first = 0, size = 0;
  Block part(int64_t from, int64_t count) const { return {first + from, count}; }
};

// The tokens that token i reads.
using ReadSet = std::function<std::vector<int64_t>(int64_t token)>;
// Token `token` reads `source`, the others nothing.
ReadSet reads(int64_t token, int64_t source);

enum class Arithmetic { add, multiply };

struct ReadArithmeticWrite {
  ReadSet read;
  Block r, s, w;
  Tensor w_a, w_s, w_o;  // [p, |r|], [p, |s|], [|w|, p]
  Arithmetic op = Arithmetic::add;
};

// A summand of an affine combination: matrix [|to|, |block|] times the block.
struct Term {
  Tensor matrix;
  Block block;
};

struct ConstructOptions {
  int64_t features = 1;  // numbers of a token
  int64_t context = 1;   // tokens of a row
  double c = 1.0 / 1024;
  std::string activation = "gelu";  // or gelu_tanh
};

class Construction {
 public:
  explicit Construction(const ConstructOptions& options);

  // The numbers of the token itself.
  Block input() const { return input_; }
  // Fresh channels, with these values at every token; 0 where none are given.
  Block block(int64_t size, const Tensor& initial = {});

  void raw(const ReadArithmeticWrite& raw);
  // to <- from of the token that is read (the mean of those).
  void mov(const ReadSet& read, Block from, Block to);
  // At `token`: to [m, n] <- a [m, k] b [k, n], row by row.
  void mul(int64_t token, Block a, Block b, Block to, int64_t m, int64_t k, int64_t n);
  // At `token`: to <- sum of the terms + bias [|to|]; undefined: none.
  void aff(int64_t token, const std::vector<Term>& terms, Block to, const Tensor& bias = {});
  // At `token`: to <- x / by, by [1] a number other than 0 (3 layers): two channels of +-S by make the
  // deviation that LayerNorm divides by proportional to |by|. Its relative error is |h|^2 / (4 S^2 by^2), h
  // the other channels and S = 1e5. The sign costs a product; a divisor that is known to be positive does
  // without.
  void div(int64_t token, Block x, Block by, Block to, bool positive);

  int64_t layers() const { return static_cast<int64_t>(layers_.size()); }
  // Channels beside the code of positions.
  int64_t channels() const { return width_ - options_.context; }

  // The decoder: input_features [B, T, features] -> predictions [B, T, |answer|], in double.
  std::shared_ptr<Model> model(Block answer) const;

 private:
  struct Weight {
    int64_t channel;
    double value;
  };
  // A hidden unit of the MLP.
  struct Unit {
    std::vector<Weight> in;
    double bias = 0;
    std::vector<Weight> out;
    bool everywhere = false;  // or only at tokens that the instruction is for
  };
  struct Layer {
    ReadSet read;  // null: no attention
    Block from, to;
    std::vector<bool> tokens;  // which the instruction is for
    std::vector<Unit> units;
    bool normed = false;  // the MLP reads LayerNorm of the stream, and writes sqrt(2 / width) times as much
  };

  Layer at_tokens(const ReadSet& read) const;
  Layer at_token(int64_t token) const;
  static void add_linear(Layer& layer, std::vector<Weight> in, double bias, int64_t channel, bool everywhere);
  static void clear(Layer& layer, Block block, bool everywhere);
  void add_product(Layer& layer, const std::vector<Weight>& u, const std::vector<Weight>& v,
                   const std::vector<Weight>& out) const;
  void write_sum(Layer& layer, const std::vector<Term>& terms, Block to, const Tensor& bias) const;
  Spec spec(Block answer) const;
  void fill_layer(Model& model, size_t index) const;
  int64_t position_channel(int64_t token) const { return token; }

  ConstructOptions options_;
  int64_t width_;
  Block input_;
  std::vector<std::pair<Block, Tensor>> initial_;
  std::optional<Block> zero_;  // of divisions
  std::vector<Layer> layers_;
};

}  // namespace formwork
