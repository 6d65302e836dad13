// Linear maps: how one weight matrix is represented and multiplied. All learned products go through one,
// so compression and adaptation replace maps and never fork a model class.
//
// A map W [out, in] may be a bank of n matrices [n, out, in] (experts); then `bank` selects one.
// The Spec's "linear" table chooses the representation by the map's path; dense where it says nothing.
#pragma once
#include <memory>
#include <string>

#include "formwork/core/part.h"
#include "formwork/core/registry.h"

namespace formwork {

enum class Role {
  query,
  key,
  value,
  qkv,
  out,
  up,
  gate,
  gate_up,
  down,
  embed,
  head,
  router,
  conv,
  shortcut,
  inner,
  transfer
};
const char* role_name(Role role);

// What a part asks of a map; the representation may not change any of it.
struct LinearNeed {
  Role role = Role::inner;
  Dim in, out;  // with axes
  bool bias = false;
  Axis bank;  // size 0: a single matrix
  Init init = init::fan_in_uniform();
  Init bias_init = init::zeros();
  bool bias_decay = false;
  Rule rule;        // of the weight, beside init
  Slot input = -1;  // an existing tap that this map reads; -1: a tap of its own, "<path>.in"
};

class LinearMap : public Part {
 public:
  static const char* kind() { return "linear"; }
  static const char* noun() { return "linear map"; }
  LinearMap(Build& build, const LinearNeed& need);

  // y = x W^T + b, x [..., in] -> [..., out], through the map's taps. An input tap that is not the map's own
  // has been delivered by the part that owns it.
  Tensor forward(Context& ctx, const Tensor& x, int64_t bank = -1);
  // y W, [..., out] -> [..., in], without bias.
  virtual Tensor transposed(Context& ctx, const Tensor& y);
  // Rows of W (an embedding look-up): ids [...] -> [..., in].
  virtual Tensor rows(Context& ctx, const Tensor& ids);

  // W, [out, in] or [n, out, in]; float32 where it is decoded; refuses where the map is not a matrix.
  virtual Tensor dense(Context& ctx) = 0;
  Tensor dense();  // outside a pass, without gradient, in the model's dtype
  // Operations (multiply and add count two) for one token.
  virtual double flops() const = 0;
  int64_t bytes() const;  // of the parameters that it owns, as stored
  // Registered name of this representation, and its options as in the Spec.
  virtual std::string type() const = 0;

  const LinearNeed& need() const { return need_; }
  const std::string& path() const { return path_; }
  Role role() const { return need_.role; }
  int64_t in() const { return need_.in.size(); }
  int64_t out() const { return need_.out.size(); }
  int64_t banks() const { return need_.bank.size; }
  Slot input_tap() const { return input_; }
  Slot output_tap() const { return output_; }
  Param* bias() const { return bias_; }
  const std::vector<Param*>& params() const { return params_; }

 protected:
  virtual Tensor product(Context& ctx, const Tensor& x, int64_t bank) = 0;  // with bias
  Param* own(Param* param);                                 // remembers a parameter of this map
  Tensor bias_value(Context& ctx, int64_t bank) const;      // undefined where there is none
  std::vector<Dim> with_bank(std::vector<Dim> dims) const;  // prepends the bank dimension

 private:
  const Inventory* inventory_;
  LinearNeed need_;
  std::string path_;
  bool owns_input_;
  Slot input_ = -1, output_ = -1;
  Param* bias_ = nullptr;
  std::vector<Param*> params_;
};

// A representation's constructor is (Build&, const LinearNeed&, const Options&).
template <>
class Registry<LinearMap> : public Factory<LinearMap, Build&, const LinearNeed&> {};

// Builds the map `name` below `build`, in the representation that the Spec's table gives it. The table's
// entry may say "bias": true for any representation, which gives a map the bias that its part did not ask
// for.
std::unique_ptr<LinearMap> make_linear(const Build& build, const std::string& name, LinearNeed need);
// As make_linear, but null (an identity) unless the Spec's table names it: residual shortcuts.
std::unique_ptr<LinearMap> make_optional_linear(const Build& build, const std::string& name, LinearNeed need);

}  // namespace formwork
