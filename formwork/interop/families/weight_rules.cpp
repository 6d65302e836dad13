#include "formwork/interop/families/weight_rules.h"

#include <numeric>

#include "formwork/core/random.h"

namespace formwork {
namespace weight_op {
namespace {

// An operation on one tensor.
WeightOp single(std::function<Tensor(const Tensor&)> join, std::function<Tensor(const Tensor&)> split) {
  return {[join = std::move(join)](const std::vector<Tensor>& theirs) { return join(theirs.at(0)); },
          [split = std::move(split)](const Tensor& ours) { return std::vector<Tensor>{split(ours)}; }};
}

}  // namespace

WeightOp same() {
  const auto keep = [](const Tensor& x) { return x; };
  return single(keep, keep);
}

WeightOp transposed() {
  const auto turn = [](const Tensor& x) { return x.dim() == 2 ? x.t().contiguous() : x; };
  return single(turn, turn);
}

WeightOp concatenated(std::vector<int64_t> sizes) {
  return {[](const std::vector<Tensor>& theirs) { return at::cat(theirs, 0); },
          [sizes = std::move(sizes)](const Tensor& ours) { return ours.split_with_sizes(sizes, 0); }};
}

WeightOp without_first_rows(int64_t rows) {
  return single([rows](const Tensor& x) { return x.narrow(0, rows, x.size(0) - rows); },
                [rows](const Tensor& x) {
                  auto sizes = x.sizes().vec();
                  sizes[0] = rows;
                  return at::cat({at::zeros(sizes, x.options()), x}, 0);
                });
}

WeightOp reshaped(std::vector<int64_t> ours, std::vector<int64_t> theirs) {
  return single([ours = std::move(ours)](const Tensor& x) { return x.reshape(ours); },
                [theirs = std::move(theirs)](const Tensor& x) { return x.reshape(theirs); });
}

WeightOp interleaved_heads(int64_t heads, int64_t width) {
  const auto regroup = [width](const Tensor& x, int64_t outer, int64_t inner) {
    auto sizes = x.sizes().vec();
    std::vector<int64_t> split = {outer, inner, width};
    split.insert(split.end(), sizes.begin() + 1, sizes.end());
    return x.reshape(split).transpose(0, 1).reshape(sizes);
  };
  return single([=](const Tensor& x) { return regroup(x, heads, 3); },
                [=](const Tensor& x) { return regroup(x, 3, heads); });
}

WeightOp stacked(int64_t count, size_t inputs, WeightOp each) {
  return {[=](const std::vector<Tensor>& theirs) {
            std::vector<Tensor> entries;
            for (auto first = theirs.begin(); first != theirs.end(); first += static_cast<int64_t>(inputs))
              entries.push_back(each.join({first, first + static_cast<int64_t>(inputs)}));
            return at::stack(entries, 0);
          },
          [=](const Tensor& ours) {
            std::vector<Tensor> theirs;
            for (int64_t i = 0; i < count; ++i)
              for (auto& tensor : each.split(ours[i])) theirs.push_back(std::move(tensor));
            return theirs;
          }};
}

}  // namespace weight_op

bool WeightRules::has(const std::string& ours) const {
  const auto found = inventory_.by_name.find(ours);
  return found != inventory_.by_name.end() && found->second->name == ours;
}

const Param& WeightRules::param(const std::string& ours) const { return *inventory_.by_name.at(ours); }

int64_t WeightRules::count(const std::string& prefix) const {
  for (int64_t i = 0;; ++i) {
    const auto start = fmt::format("{}{}.", prefix, i);
    const auto next = inventory_.by_name.lower_bound(start);
    if (next == inventory_.by_name.end() || !next->first.starts_with(start)) return i;
  }
}

void WeightRules::add(const std::string& ours, std::vector<std::string> theirs, WeightOp op) {
  if (has(ours)) rules_.push_back({ours, std::move(theirs), std::move(op)});
}

void WeightRules::map(const std::string& ours, const std::string& theirs, const WeightOp& op) {
  for (const char* suffix : {".weight", ".bias"}) add(ours + suffix, {theirs + suffix}, op);
}

void WeightRules::maps(const std::string& ours, const std::vector<std::string>& theirs) {
  for (const char* suffix : {".weight", ".bias"}) {
    if (!has(ours + suffix)) continue;
    std::vector<std::string> names;
    for (const auto& name : theirs) names.push_back(name + suffix);
    add(ours + suffix, names, weight_op::concatenated(segment_sizes(param(ours + suffix))));
  }
}

void WeightRules::attention(const std::string& ours, const std::string& query, const std::string& key,
                            const std::string& value, const std::string& out) {
  maps(ours + ".qkv", {query, key, value});
  map(ours + ".query", query);
  map(ours + ".key", key);
  map(ours + ".value", value);
  map(ours + ".out", out);
}

void WeightRules::gated(const std::string& ours, const std::string& gate, const std::string& up,
                        const std::string& down) {
  maps(ours + ".gate_up", {gate, up});
  map(ours + ".down", down);
}

std::vector<int64_t> segment_sizes(const Param& param) {
  std::vector<int64_t> sizes;
  for (const auto& segment : param.dims.at(0).segments) sizes.push_back(Dim::product(segment).size());
  return sizes;
}

namespace {

// Finds their tensors by name, as files of different age spell them, and remembers which were read.
class Shelf {
 public:
  Shelf(const TensorMap& tensors, const TheirNames& names, const std::string& where)
      : tensors_(tensors), names_(names), where_(where) {}

  const Tensor& take(const std::string& name) {
    for (const auto& candidate : spellings(name))
      if (const auto found = tensors_.find(candidate); found != tensors_.end()) {
        read_.insert(candidate);
        return found->second;
      }
    std::vector<std::string> known;
    for (const auto& [key, tensor] : tensors_) known.push_back(key);
    const auto near = nearest(name, known);
    fail("{}: tensor '{}' is missing{}", where_, name,
         near.empty() ? "" : fmt::format("; the nearest is '{}'", near));
  }

  void finish() const {
    for (const auto& [name, tensor] : tensors_) {
      const auto is_ignored = [&, &key = name](const std::string& pattern) { return matches(pattern, key); };
      if (!read_.contains(name) && std::none_of(names_.ignored.begin(), names_.ignored.end(), is_ignored))
        fail("{}: tensor '{}' [{}] has no place in the model that the config describes", where_, name,
             fmt::join(tensor.sizes().vec(), ", "));
    }
  }

 private:
  std::vector<std::string> spellings(const std::string& name) const {
    std::vector<std::string> list = {name};
    if (!names_.prefix.empty())
      list.push_back(name.starts_with(names_.prefix) ? name.substr(names_.prefix.size())
                                                     : names_.prefix + name);
    // Norms of the first BERT files.
    for (const auto& [now, before] :
         {std::pair("LayerNorm.weight", "LayerNorm.gamma"), std::pair("LayerNorm.bias", "LayerNorm.beta")})
      if (name.ends_with(now))
        for (size_t i = 0, old = list.size(); i < old; ++i)
          list.push_back(list[i].substr(0, list[i].size() - std::strlen(now)) + before);
    return list;
  }

  const TensorMap& tensors_;
  const TheirNames& names_;
  const std::string& where_;
  std::set<std::string> read_;
};

// The shapes that the operation expects, found by undoing it on a tensor without values.
void check_shapes(const WeightRule& rule, const Param& param, const std::vector<Tensor>& theirs,
                  const std::string& where) {
  std::vector<int64_t> shape;
  for (const auto& dim : param.dims) shape.push_back(dim.stored());
  const auto expected = rule.op.split(at::empty(shape, at::TensorOptions().device(at::kMeta)));
  for (size_t i = 0; i < theirs.size(); ++i)
    if (theirs[i].sizes() != expected.at(i).sizes())
      fail("{}: tensor '{}': expected shape [{}], found [{}]", where, rule.theirs[i],
           fmt::join(expected[i].sizes().vec(), ", "), fmt::join(theirs[i].sizes().vec(), ", "));
}

Tensor initial_value(const Inventory& inventory, const Param& param) {
  auto value = at::zeros(param.value.sizes(), param.value.options().device(at::kCPU));
  param.rule.init.fill(value, make_stream(inventory.seed, param.name));
  return value;
}

bool is_fixed(const Param& param) { return param.rule.frozen && param.rule.keep_dtype; }

}  // namespace

TensorMap import_weights(const WeightRules& rules, const TensorMap& theirs, const TheirNames& names,
                         const std::string& where) {
  const at::NoGradGuard guard;
  Shelf shelf(theirs, names, where);
  TensorMap ours;
  for (const auto& rule : rules.list()) {
    std::vector<Tensor> parts;
    for (const auto& name : rule.theirs) parts.push_back(shelf.take(name));
    check_shapes(rule, rules.param(rule.ours), parts, where);
    ours[rule.ours] = rule.op.join(parts);
  }
  for (const auto& param : rules.inventory().params) {
    if (ours.contains(param.name)) continue;
    if (!is_fixed(param)) fail("{}: no tensor gives the parameter '{}'", where, param.name);
    ours[param.name] = initial_value(rules.inventory(), param);
  }
  shelf.finish();
  return ours;
}

TensorMap export_weights(const WeightRules& rules) {
  const at::NoGradGuard guard;
  TensorMap theirs;
  std::set<std::string> written;
  for (const auto& rule : rules.list()) {
    const auto parts = rule.op.split(rules.param(rule.ours).value.detach());
    for (size_t i = 0; i < parts.size(); ++i) theirs[rule.theirs.at(i)] = parts[i];
    written.insert(rule.ours);
  }
  for (const auto& param : rules.inventory().params)
    if (param.value.defined() && !is_fixed(param) && !written.contains(param.name))
      fail("parameter '{}' has no place in that family", param.name);
  return theirs;
}

}  // namespace formwork
