#include "formwork/linear/quantized/outlier_pool.h"

#include <map>

namespace formwork {

std::vector<int64_t> OutlierPool::add(const std::vector<int64_t>& columns) {
  const std::lock_guard<std::mutex> lock(mutex_);
  columns_.insert(columns.begin(), columns.end());
  return {columns_.begin(), columns_.end()};
}

std::shared_ptr<OutlierPool> shared_outlier_pool(const Inventory& model, int64_t width) {
  static std::mutex mutex;
  static std::map<std::pair<const Inventory*, int64_t>, std::weak_ptr<OutlierPool>> pools;
  const std::lock_guard<std::mutex> lock(mutex);
  std::erase_if(pools, [](const auto& entry) { return entry.second.expired(); });
  auto& entry = pools[{&model, width}];
  auto pool = entry.lock();
  if (!pool) entry = pool = std::make_shared<OutlierPool>();
  return pool;
}

}  // namespace formwork
