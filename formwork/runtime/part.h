// The kinds of parts that have a runtime form. A part registers itself under the name, and reads the options,
// of the part that it stands for (FORMWORK_PART); one that is not there is refused by path and name.
#pragma once
#include <memory>

#include "formwork/core/factory.h"
#include "formwork/runtime/pass.h"
#include "formwork/runtime/scope.h"
#include "formwork/runtime/state.h"

namespace formwork::runtime {

// The factory of parts that are built from a Scope, which may put another part in their place.
template <class Kind>
class Parts : public Factory<Kind, Scope&> {
 public:
  static std::unique_ptr<Kind> make(Scope& scope, const PartSpec& spec) {
    const PartSpec chosen = scope.resolve(spec);
    const auto& table = Parts::entries();
    const auto found = table.find(chosen.type);
    if (found == table.end()) refuse(scope.path(), Kind::noun(), chosen.type, Parts::names());
    return found->second.make(scope, chosen.options);
  }
};

inline std::string place_of_options(const std::string&, const Scope& scope) { return scope.path(); }

// Acts on the stream: y (+)= f(x), x [rows, scope.in], y [rows, scope.out].
class Layer {
 public:
  virtual ~Layer() = default;
  // Null where each token is treated alone.
  virtual std::unique_ptr<State> make_state(const StateOptions&) const { return nullptr; }
  virtual void run(Pass& pass, State* state, In x, Out y) const = 0;
};

class Mixer : public Layer {
 public:
  static const char* kind() { return "runtime mixers"; }
  static const char* noun() { return "token mixer"; }
};

class Channel : public Layer {
 public:
  static const char* kind() { return "runtime channels"; }
  static const char* noun() { return "channel mixer"; }
};

class Norm {
 public:
  static const char* kind() { return "runtime norms"; }
  static const char* noun() { return "norm"; }
  virtual ~Norm() = default;
  // x and y [rows, scope.in], dense, and may be the same; `spare` [rows].
  virtual void run(int64_t rows, const float* x, float* y, float* spare) const = 0;
};

// Elementwise functions.
class Activation {
 public:
  static const char* kind() { return "runtime activations"; }
  static const char* noun() { return "activation"; }
  virtual ~Activation() = default;
  // y [rows, width] = f(x), x [rows, width] with rows `stride` apart; times `times`, laid out as x, unless it
  // is null.
  virtual void run(int64_t rows, int64_t width, const float* x, const float* times, int64_t stride,
                   float* y) const = 0;
};

// Added to the embedding: x [rows, scope.in].
class StemPosition {
 public:
  static const char* kind() { return "runtime stem positions"; }
  static const char* noun() { return "position"; }
  virtual ~StemPosition() = default;
  virtual void embed(const Pass& pass, float* x) const = 0;
};

class Head {
 public:
  static const char* kind() { return "runtime heads"; }
  static const char* noun() { return "head"; }
  virtual ~Head() = default;
  virtual int64_t width() const = 0;
  // x [rows, scope.in], dense -> y [rows, width].
  virtual void run(Pass& pass, int64_t rows, const float* x, float* y) const = 0;
};

}  // namespace formwork::runtime

namespace formwork {

template <>
class Registry<runtime::Mixer> : public runtime::Parts<runtime::Mixer> {};
template <>
class Registry<runtime::Channel> : public runtime::Parts<runtime::Channel> {};
template <>
class Registry<runtime::Norm> : public runtime::Parts<runtime::Norm> {};
template <>
class Registry<runtime::Activation> : public runtime::Parts<runtime::Activation> {};
template <>
class Registry<runtime::StemPosition> : public runtime::Parts<runtime::StemPosition> {};
template <>
class Registry<runtime::Head> : public runtime::Parts<runtime::Head> {};

}  // namespace formwork
