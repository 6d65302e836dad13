// Which architecture of GGUF can express a model.
#pragma once
#include <string>

#include "formwork/core/spec.h"

namespace formwork {

struct GgufForm {
  std::string architecture;
  Json metadata;           // as in gguf_architectures.h
  double norm_offset = 0;  // what its norms add to their gain; a file holds the sum
};

// The first architecture that expresses the model, that of the file it came from before others. What a file
// keeps in other ways does not count: representations of maps, the order of rotary pairs, rotary scalings
// that only change frequencies, an offset of norms. An Error says what stands in the way.
GgufForm gguf_form(const Spec& spec);

}  // namespace formwork
