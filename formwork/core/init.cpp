#include "formwork/core/init.h"

#include "formwork/core/error.h"

namespace formwork::init {
namespace {

int64_t fan_in(const Tensor& t) {
  return t.dim() < 2 ? t.numel() : t.numel() / std::max<int64_t>(1, t.size(0));
}

void fill_orthogonal(Tensor& t, at::Generator g) {
  const int64_t rows = t.size(0), cols = t.numel() / rows;
  Tensor flat = at::empty({std::max(rows, cols), std::min(rows, cols)}, t.options().dtype(at::kDouble))
                    .normal_(0, 1, g);
  auto [q, r] = at::linalg_qr(flat);
  q = q * r.diagonal().sign().unsqueeze(0);
  t.copy_((rows < cols ? q.t() : q).reshape(t.sizes()));
}

}  // namespace

Init zeros() {
  return {"zeros", [](Tensor& t, at::Generator) { t.zero_(); }};
}
Init ones() { return constant(1); }
Init constant(double value) {
  return {fmt::format("constant:{:g}", value), [value](Tensor& t, at::Generator) { t.fill_(value); }};
}
Init normal(double std) {
  return {fmt::format("normal:{:g}", std), [std](Tensor& t, at::Generator g) { t.normal_(0, std, g); }};
}
Init truncated_normal(double std) {
  return {fmt::format("truncated_normal:{:g}", std), [std](Tensor& t, at::Generator g) {
            // Inverse CDF of the normal distribution restricted to two standard deviations.
            const double edge = std::erf(2 / std::sqrt(2.0));
            t.uniform_(-edge, edge, g);
            t.erfinv_().mul_(std * std::sqrt(2.0)).clamp_(-2 * std, 2 * std);
          }};
}
Init uniform(double bound) {
  return {fmt::format("uniform:{:g}", bound),
          [bound](Tensor& t, at::Generator g) { t.uniform_(-bound, bound, g); }};
}
Init fan_in_uniform() {
  return {"fan_in_uniform", [](Tensor& t, at::Generator g) {
            const double bound = 1 / std::sqrt(static_cast<double>(std::max<int64_t>(1, fan_in(t))));
            t.uniform_(-bound, bound, g);
          }};
}
Init xavier_uniform() {
  return {"xavier_uniform", [](Tensor& t, at::Generator g) {
            const double bound = std::sqrt(6.0 / static_cast<double>(fan_in(t) + t.size(0)));
            t.uniform_(-bound, bound, g);
          }};
}
Init kaiming_normal() {
  return {"kaiming_normal", [](Tensor& t, at::Generator g) {
            t.normal_(0, std::sqrt(2.0 / static_cast<double>(std::max<int64_t>(1, fan_in(t)))), g);
          }};
}
Init lecun_normal() {
  return {"lecun_normal", [](Tensor& t, at::Generator g) {
            t.normal_(0, std::sqrt(1.0 / static_cast<double>(std::max<int64_t>(1, fan_in(t)))), g);
          }};
}
Init orthogonal() { return {"orthogonal", fill_orthogonal}; }
Init scaled(Init inner, double factor) {
  return {fmt::format("{}*{:g}", inner.name, factor), [inner, factor](Tensor& t, at::Generator g) {
            inner.fill(t, g);
            t.mul_(factor);
          }};
}

Init by_name(const std::string& name) {
  using Make = std::function<Init(double)>;
  static const std::map<std::string, Make> table = {
      {"zeros", [](double) { return zeros(); }},
      {"ones", [](double) { return ones(); }},
      {"constant", constant},
      {"normal", normal},
      {"truncated_normal", truncated_normal},
      {"uniform", uniform},
      {"fan_in_uniform", [](double) { return fan_in_uniform(); }},
      {"xavier_uniform", [](double) { return xavier_uniform(); }},
      {"kaiming_normal", [](double) { return kaiming_normal(); }},
      {"lecun_normal", [](double) { return lecun_normal(); }},
      {"orthogonal", [](double) { return orthogonal(); }}};
  const size_t colon = name.find(':');
  const auto found = table.find(name.substr(0, colon));
  if (found == table.end()) {
    std::vector<std::string> names;
    for (const auto& [key, make] : table) names.push_back(key);
    fail_unknown("initialization", name.substr(0, colon), names);
  }
  double value = 0.02;
  if (colon != std::string::npos) {
    char* end = nullptr;
    value = std::strtod(name.c_str() + colon + 1, &end);
    if (*end || end == name.c_str() + colon + 1)
      fail("initialization '{}': expected a number after the colon", name);
  }
  return found->second(value);
}

}  // namespace formwork::init
