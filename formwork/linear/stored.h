// What representations that do not keep W as one floating matrix share: rules for stored codes, how they
// begin, and caches of what kernels read.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "formwork/linear/linear_map.h"

namespace formwork {

// Fails for a bank of matrices.
void require_single(const Build& build, const LinearNeed& need, const char* type);
// Lowers what may be done to every named axis of `dim`.
void restrict_axes(const Build& build, const Dim& dim, Group group, const std::string& reason);
// Codes, indices and scales: never trained, never cast.
Rule stored_rule(at::ScalarType dtype);
// W [out, in] as a dense map at this path begins; undefined where nothing is allocated.
Tensor initial_weight(const Build& build, const LinearNeed& need);
// Gives parameters of the part at build's path their first values; those shared with another part keep
// theirs.
void begin_with(const Build& build, const std::map<std::string, Tensor>& tensors);

// Something made from tensors, kept until one of them is exchanged or written to. Safe to share by threads.
template <class T>
class MadeFrom {
 public:
  template <class Make>
  std::shared_ptr<const T> get(const std::vector<Tensor>& from, const Make& make) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!made_ || !same(from)) {
      made_ = std::make_shared<const T>(make());
      from_ = from;
      versions_.clear();
      for (const auto& tensor : from) versions_.push_back(version(tensor));
    }
    return made_;
  }

 private:
  static int64_t version(const Tensor& tensor) {
    return tensor.is_inference() ? 0 : static_cast<int64_t>(tensor._version());
  }
  bool same(const std::vector<Tensor>& from) const {
    if (from.size() != from_.size()) return false;
    for (size_t i = 0; i < from.size(); ++i)
      if (!from[i].is_same(from_[i]) || version(from[i]) != versions_[i]) return false;
    return true;
  }

  std::mutex mutex_;
  std::shared_ptr<const T> made_;
  std::vector<Tensor> from_;
  std::vector<int64_t> versions_;
};

}  // namespace formwork
