#include "formwork/decode/fast_path.h"

#include "formwork/decode/plain_steps.h"
#include "formwork/interop/inventory_parameters.h"
#include "formwork/runtime/session.h"

namespace formwork {
namespace {

// Passes of up to so many tokens: enough to multiply at full speed, few enough to stay in the cache.
constexpr int64_t kMostRows = 256;

void require_float(const Model& model, const StateOptions& options) {
  if (options.dtype == at::kDouble)
    fail("the runtime computes in float32, this model in {}", c10::toString(options.dtype));
  for (const auto& param : model.inventory().params)
    if (param.value.defined() && !param.value.is_cpu())
      fail("the runtime reads the CPU's memory, and '{}' is on {}", param.name, param.value.device().str());
}

std::vector<int64_t> list_of(const Tensor& ids) {
  const auto flat = ids.to(at::kLong).contiguous();
  return {flat.const_data_ptr<int64_t>(), flat.const_data_ptr<int64_t>() + flat.numel()};
}

}  // namespace

FastPath::FastPath(const Model& model, const StateOptions& options) {
  require_float(model, options);
  held_ = values_of(model.inventory());
  plain_ = std::make_unique<PlainSteps>(model);
  model_ = std::make_unique<runtime::Model>(model.spec(), held_, plain_.get());
  runtime::SessionOptions session;
  session.most_rows = kMostRows;
  session.state.rows = options.batch, session.state.capacity = options.capacity;
  session.state.reversible = options.reversible;
  session_ = std::make_unique<runtime::Session>(*model_, session);
}

FastPath::~FastPath() = default;

std::unique_ptr<FastPath> FastPath::make(const Model& model, const StateOptions& options,
                                         std::string& reason) {
  try {
    std::unique_ptr<FastPath> path(new FastPath(model, options));
    reason = fmt::format("{}", fmt::join(path->plain_->reasons(), "; "));
    return path;
  } catch (const Error& error) {
    reason = error.what();
    return nullptr;
  }
}

Tensor FastPath::append(const Tensor& ids) {
  const auto all = list_of(ids);
  const auto tokens = static_cast<size_t>(ids.size(1));
  std::vector<runtime::Append> appends;
  for (int64_t row = 0; row < ids.size(0); ++row)
    appends.push_back({row, {all.data() + static_cast<size_t>(row) * tokens, tokens}});
  const float* logits = session_->append(appends);
  auto out = at::empty({ids.size(0), model_->outputs()}, at::kFloat);
  std::copy_n(logits, out.numel(), out.mutable_data_ptr<float>());
  return out;
}

Tensor FastPath::append_all(const Tensor& ids) {
  const auto all = list_of(ids);
  const auto tokens = static_cast<size_t>(ids.size(1));
  auto out = at::empty({ids.size(0), ids.size(1), model_->outputs()}, at::kFloat);
  for (int64_t row = 0; row < ids.size(0); ++row)
    session_->append_all({row, {all.data() + static_cast<size_t>(row) * tokens, tokens}},
                         out[row].mutable_data_ptr<float>());
  return out;
}

void FastPath::select(const Tensor& rows) { session_->select(list_of(rows)); }

void FastPath::truncate(int64_t row, int64_t tokens) { session_->truncate(row, tokens); }

}  // namespace formwork
