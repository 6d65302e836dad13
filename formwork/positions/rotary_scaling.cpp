#include "formwork/positions/rotary_scaling.h"

#include <algorithm>
#include <cmath>

namespace formwork {

FORMWORK_KIND(RotaryScaling);

std::vector<double> rotary_frequencies(int64_t width, double base) {
  std::vector<double> frequencies;
  for (int64_t i = 0; i < width / 2; ++i)
    frequencies.push_back(std::pow(base, -2.0 * static_cast<double>(i) / static_cast<double>(width)));
  return frequencies;
}

namespace {

constexpr double kTurn = 2 * M_PI;

void describe_factor(Fields& f, double& factor) {
  f.number("factor", factor, "context wanted / context of training", 1, 1e6);
}

void describe_context(Fields& f, int64_t& context) {
  f.integer("context", context, "tokens of context in training", 1);
}

class NoScaling final : public RotaryScaling {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  NoScaling(const Place&, const Options&) {}
  std::vector<double> frequencies(int64_t width, double base) const override {
    return rotary_frequencies(width, base);
  }
};

// f_i / factor (Chen et al., "Extending Context Window via Positional Interpolation", 2023).
class LinearScaling final : public RotaryScaling {
 public:
  struct Options {
    double factor = 1;
    void describe(Fields& f) { describe_factor(f, factor); }
  };
  LinearScaling(const Place&, const Options& options) : options_(options) {}
  std::vector<double> frequencies(int64_t width, double base) const override {
    auto frequencies = rotary_frequencies(width, base);
    for (auto& f : frequencies) f /= options_.factor;
    return frequencies;
  }

 private:
  Options options_;
};

// base * factor^(d/(d-2)): the slowest pair is stretched by the factor, the fastest not at all ("NTK-aware";
// Peng et al., "YaRN", 2023, section 3.1).
class NtkScaling final : public RotaryScaling {
 public:
  struct Options {
    double factor = 1;
    void describe(Fields& f) { describe_factor(f, factor); }
  };
  NtkScaling(const Place&, const Options& options) : options_(options) {}
  std::vector<double> frequencies(int64_t width, double base) const override {
    const double d = static_cast<double>(width);
    return rotary_frequencies(width, width > 2 ? base * std::pow(options_.factor, d / (d - 2)) : base);
  }

 private:
  Options options_;
};

// As ntk with the factor r = factor * length / context - (factor - 1), where length = position + 1 once that
// exceeds the context. So each token turns as it does when it is decoded, and prompts may be cut anywhere.
class DynamicScaling final : public RotaryScaling {
 public:
  struct Options {
    double factor = 1;
    int64_t context = 2048;
    void describe(Fields& f) {
      describe_factor(f, factor);
      describe_context(f, context);
    }
  };
  DynamicScaling(const Place&, const Options& options) : options_(options) {}
  std::vector<double> frequencies(int64_t width, double base) const override {
    return rotary_frequencies(width, base);
  }
  bool stretches() const override { return true; }
  void stretch(int64_t position, int64_t width, float* factors) const override {
    const double context = static_cast<double>(options_.context);
    const double length = std::max(static_cast<double>(position + 1), context);
    const double ratio = length * (options_.factor / context) - (options_.factor - 1);
    const double step = -2.0 / static_cast<double>(std::max<int64_t>(1, width - 2));
    for (int64_t i = 0; i < width / 2; ++i)
      factors[i] = static_cast<float>(std::pow(ratio, step * static_cast<double>(i)));
  }

 private:
  Options options_;
};

// Pairs that turn more than beta_fast times within the context keep their frequency, those that turn less
// than beta_slow times are divided by the factor, with a linear ramp between; turned vectors are multiplied
// by 0.1 ln(factor) + 1 (Peng et al., "YaRN: Efficient Context Window Extension", 2023).
class YarnScaling final : public RotaryScaling {
 public:
  struct Options {
    double factor = 1, beta_fast = 32, beta_slow = 1, attention_factor = 0;
    int64_t context = 2048;
    void describe(Fields& f) {
      describe_factor(f, factor);
      describe_context(f, context);
      f.number("beta_fast", beta_fast, "turns within the context above which a pair is kept", 1e-6, 1e6);
      f.number("beta_slow", beta_slow, "turns below which a pair is stretched whole", 1e-6, 1e6);
      f.number("attention_factor", attention_factor, "factor on q and k; 0: 0.1 ln(factor) + 1", 0, 1e3);
    }
  };
  YarnScaling(const Place&, const Options& options) : options_(options) {}
  std::vector<double> frequencies(int64_t width, double base) const override {
    const double low = std::max(0.0, std::floor(pair_that_turns(options_.beta_fast, width, base)));
    const double last = static_cast<double>(width - 1);
    double high = std::min(last, std::ceil(pair_that_turns(options_.beta_slow, width, base)));
    if (high == low) high += 0.001;
    auto frequencies = rotary_frequencies(width, base);
    for (size_t i = 0; i < frequencies.size(); ++i) {
      const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
      frequencies[i] *= ramp / options_.factor + 1 - ramp;
    }
    return frequencies;
  }
  double amplitude() const override {
    return options_.attention_factor > 0 ? options_.attention_factor : 0.1 * std::log(options_.factor) + 1;
  }

 private:
  double pair_that_turns(double times, int64_t width, double base) const {
    return static_cast<double>(width) * std::log(static_cast<double>(options_.context) / (times * kTurn)) /
           (2 * std::log(base));
  }
  Options options_;
};

// Wavelengths below context / high_freq_factor are kept, those above context / low_freq_factor stretched by
// the factor, those between blended by their place (Grattafiori et al., "The Llama 3 Herd of Models", 2024).
class Llama3Scaling final : public RotaryScaling {
 public:
  struct Options {
    double factor = 8, low_freq_factor = 1, high_freq_factor = 4;
    int64_t context = 8192;
    void describe(Fields& f) {
      describe_factor(f, factor);
      describe_context(f, context);
      f.number("low_freq_factor", low_freq_factor, "turns within the context below which f is divided", 1e-6,
               1e6);
      f.number("high_freq_factor", high_freq_factor, "turns above which f is kept", 1e-6, 1e6);
    }
  };
  Llama3Scaling(const Place& place, const Options& options) : options_(options) {
    if (options.high_freq_factor <= options.low_freq_factor)
      fail("{}: high_freq_factor {} must exceed low_freq_factor {}", place.path, options.high_freq_factor,
           options.low_freq_factor);
  }
  std::vector<double> frequencies(int64_t width, double base) const override {
    auto frequencies = rotary_frequencies(width, base);
    for (auto& f : frequencies) {
      const double turns = static_cast<double>(options_.context) * f / kTurn;
      const double kept = std::clamp(
          (turns - options_.low_freq_factor) / (options_.high_freq_factor - options_.low_freq_factor), 0.0,
          1.0);
      f *= (1 - kept) / options_.factor + kept;
    }
    return frequencies;
  }

 private:
  Options options_;
};

FORMWORK_PART(RotaryScaling, NoScaling, "none", "frequencies as trained");
FORMWORK_PART(RotaryScaling, LinearScaling, "linear", "every frequency divided by the factor");
FORMWORK_PART(RotaryScaling, NtkScaling, "ntk", "a larger base");
FORMWORK_PART(RotaryScaling, DynamicScaling, "dynamic",
              "a base that grows with the position past the context");
FORMWORK_PART(RotaryScaling, YarnScaling, "yarn", "slow pairs divided by the factor, fast pairs kept");
FORMWORK_PART(RotaryScaling, Llama3Scaling, "llama3", "long wavelengths divided by the factor");

}  // namespace
}  // namespace formwork
