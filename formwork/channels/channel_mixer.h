// Channel mixers act on each token alone (an MLP is one of many).
#pragma once
#include "formwork/core/part.h"
#include "formwork/core/registry.h"

namespace formwork {

// Built with build.in, build.out (stream axes) and build.input.
class ChannelMixer : public Layer {
 public:
  static const char* kind() { return "channels"; }
  static const char* noun() { return "channel mixer"; }
  Traits traits() const override {
    Traits traits;
    traits.causal = traits.trees = true;
    return traits;
  }
};

}  // namespace formwork
