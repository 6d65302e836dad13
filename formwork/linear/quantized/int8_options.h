// What an 8-bit map can be told. Source: LLM.int8() (Dettmers et al., 2022), which compares the schemes.
#pragma once
#include <string>

#include "formwork/core/options.h"

namespace formwork {

// How codes are scaled. Zero-point codes use the whole range of a row that lies to one side of zero.
struct Int8Scheme {
  bool zero_point = false;
  bool shared_input = false;   // one scale for all rows of x
  bool shared_weight = false;  // one scale for all rows of W
};

struct Int8Options {
  double threshold = 6;
  std::string scheme = "vector";
  bool decomposition = true;
  std::string row_max = "columns", outlier_weight = "dequant";
  bool outlier_pool = false, has_fp16_weights = false;

  void describe(Fields& f);
  // Throws Error where one option leaves another without effect; `where` begins the message.
  void check(const std::string& where) const;
  bool decomposed() const { return decomposition && threshold > 0; }
  bool keeps_weight() const { return decomposed() && outlier_weight == "keep16"; }
  Int8Scheme chosen_scheme() const;
};

}  // namespace formwork
