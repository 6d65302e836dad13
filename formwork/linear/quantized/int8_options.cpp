#include "formwork/linear/quantized/int8_options.h"

namespace formwork {

void Int8Options::describe(Fields& f) {
  f.number("threshold", threshold, "magnitude from which an input column is multiplied in float; 0: none", 0,
           1e30);
  f.choice("scheme", scheme,
           {"vector", "absmax-tensor", "absmax-row", "zeropoint-tensor", "zeropoint-vector"},
           "a scale for each row of x and of W, for each row of x and all of W, or one for each tensor; "
           "zeropoint: codes that follow the range");
  f.flag("decomposition", decomposition, "multiply columns that reach the threshold in float");
  f.choice("row_max", row_max, {"columns", "values"},
           "a row's scale: of the other columns, or of all smaller entries");
  f.choice(
      "outlier_weight", outlier_weight, {"dequant", "keep16"},
      "what outlier columns are multiplied by: the dequantized weight, or a float16 copy kept beside it");
  f.flag("outlier_pool", outlier_pool,
         "treat every column as an outlier that was one before, in any map of the model with as many inputs");
  f.flag("has_fp16_weights", has_fp16_weights,
         "keep the weight itself, for training; its codes are made anew every pass");
}

Int8Scheme Int8Options::chosen_scheme() const {
  const bool tensor = scheme == "absmax-tensor" || scheme == "zeropoint-tensor";
  return {scheme.rfind("zeropoint", 0) == 0, tensor, tensor || scheme == "absmax-row"};
}

void Int8Options::check(const std::string& where) const {
  if (decomposed()) return;
  const Int8Options plain;
  const std::string off = threshold > 0 ? "without decomposition" : "with threshold 0";
  if (threshold > 0 && threshold != plain.threshold)
    fail("{}: option 'threshold' has no effect {}", where, off);
  if (row_max != plain.row_max) fail("{}: option 'row_max' has no effect {}", where, off);
  if (outlier_weight != plain.outlier_weight)
    fail("{}: option 'outlier_weight' has no effect {}", where, off);
  if (outlier_pool) fail("{}: option 'outlier_pool' has no effect {}", where, off);
}

}  // namespace formwork
