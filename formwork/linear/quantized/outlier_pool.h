// The input columns that were outliers so far. With a pool the set no longer depends on the batch once every
// column that ever reaches the threshold has done so: appends then agree with the whole pass.
// Source: the outlier pool of LLM.int8()'s library, bitsandbytes (2022). It is not saved with a model.
#pragma once
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

namespace formwork {

struct Inventory;

class OutlierPool {
 public:
  // Adds columns; returns all so far, ascending. Safe to share by threads.
  std::vector<int64_t> add(const std::vector<int64_t>& columns);

 private:
  std::mutex mutex_;
  std::set<int64_t> columns_;
};

// The pool that the maps of a model share which have `width` inputs; it lives as long as one of them.
std::shared_ptr<OutlierPool> shared_outlier_pool(const Inventory& model, int64_t width);

}  // namespace formwork
