// What the representations of linear maps can be told.
#pragma once
#include "formwork/core/options.h"
#include "formwork/kernels/cpu/ggml_block.h"

namespace formwork {

struct LowRankOptions {
  int64_t rank = 8;
  void describe(Fields& f) { f.integer("rank", rank, "inner width", 1); }
};

struct BlockDiagonalOptions {
  int64_t blocks = 2;
  void describe(Fields& f) { f.integer("blocks", blocks, "divides inputs and outputs", 1, 1 << 20); }
};

struct MaskedOptions {
  std::string pattern = "unstructured";
  int64_t kept = 0, n = 2, m = 4;
  void describe(Fields& f) {
    f.choice("pattern", pattern, {"unstructured", "n_of_m"}, "which entries may be kept");
    f.integer("kept", kept, "unstructured: number of kept entries; 0: half of them");
    f.integer("n", n, "n of m: kept entries of every m neighbours", 1, 256);
    f.integer("m", m, "n of m: neighbours along the inputs", 1, 256);
  }
};

struct Int4Options {
  int64_t group = 64;
  void describe(Fields& f) {
    f.integer("group", group, "inputs that share a scale, a multiple of 8; fewer in a last group", 8, 65536);
  }
};

struct GgmlBlockOptions {
  std::string format = "q8_0";
  void describe(Fields& f) {
    std::vector<std::string> names;
    for (const auto& layout : ggml_layouts()) names.emplace_back(layout.name);
    f.choice("format", format, names, "how values are kept in blocks");
  }
};

struct LoraMapOptions {
  int64_t rank = 8;
  double alpha = 16, dropout = 0;
  PartSpec base = "dense";
  bool train_bias = false;
  void describe(Fields& f) {
    f.integer("rank", rank, "inner width of the update", 1, 65536);
    f.number("alpha", alpha, "the update is multiplied by alpha / rank", 0, 1e6);
    f.number("dropout", dropout, "on the update's input, in training", 0, 1);
    f.part("base", base, "linear", "representation of the frozen map");
    f.flag("train_bias", train_bias, "train the bias too");
  }
};

}  // namespace formwork
