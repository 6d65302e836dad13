// Linear maps of the runtime: y = x W^T + b, multiplied as they are stored.
#pragma once
#include "formwork/runtime/part.h"

namespace formwork::runtime {

// What a part asks of a map; the representation may not change any of it.
struct Need {
  Dim in, out;
  bool bias = false;
  int64_t banks = 0;  // 0: a single matrix
};

class LinearMap {
 public:
  static const char* kind() { return "runtime linear maps"; }
  static const char* noun() { return "linear map"; }
  LinearMap(Scope& scope, const Need& need);
  virtual ~LinearMap() = default;

  // y (+)= x W^T + b, and `more` [out] where it is not null; of the matrix `bank` where there are several.
  void run(Pass& pass, int64_t rows, In x, Out y, int64_t bank = 0, const float* more = nullptr) const;
  // Rows of W: ids [count] -> y [count, in].
  virtual void rows(Pass& pass, const int64_t* ids, int64_t count, float* y) const;
  // x W, [rows, out] -> y [rows, in], without bias.
  virtual void transposed(Pass& pass, int64_t rows, const float* x, float* y) const;
  int64_t inputs() const { return need_.in.size(); }
  int64_t outputs() const { return need_.out.size(); }
  const std::string& path() const { return path_; }
  const Need& need() const { return need_; }

 protected:
  virtual void product(Pass& pass, int64_t rows, In x, Out y, int64_t bank, const float* bias) const = 0;
  void require_single(const char* type) const;

 private:
  Need need_;
  std::string path_;
  const float* bias_ = nullptr;
};

}  // namespace formwork::runtime

namespace formwork {
template <>
class Registry<runtime::LinearMap>
    : public Factory<runtime::LinearMap, runtime::Scope&, const runtime::Need&> {};
}  // namespace formwork

namespace formwork::runtime {

inline std::string place_of_options(const std::string&, const Scope& scope, const Need&) {
  return scope.path();
}

// Builds the map `name` below the scope, in the representation that the Spec's table gives it.
std::unique_ptr<LinearMap> make_linear(const Scope& scope, const std::string& name, const Need& need);
// Null (an identity) unless the table names exactly this map.
std::unique_ptr<LinearMap> make_optional_linear(const Scope& scope, const std::string& name,
                                                const Need& need);
// A map inside a map: dense, unless the table names exactly its path.
std::unique_ptr<LinearMap> make_nested(const Scope& scope, const std::string& name, const Need& need);

}  // namespace formwork::runtime
