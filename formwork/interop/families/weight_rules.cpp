#include "formwork/interop/families/weight_rules.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <set>

#include "formwork/core/error.h"
#include "formwork/core/wildcard.h"
#include "formwork/interop/raw_layout.h"

namespace formwork {
namespace weight_op {
namespace {

// An operation on one tensor.
WeightOp single(std::function<Raw(const Raw&)> join, std::function<Raw(const Raw&)> split) {
  return {[join = std::move(join)](const std::vector<Raw>& theirs) { return join(theirs.at(0)); },
          [split = std::move(split)](const Raw& ours) { return std::vector<Raw>{split(ours)}; }};
}

}  // namespace

WeightOp same() {
  const auto keep = [](const Raw& x) { return x; };
  return single(keep, keep);
}

WeightOp transposed() {
  const auto turn = [](const Raw& x) { return x.shape.size() == 2 ? formwork::transposed(x) : x; };
  return single(turn, turn);
}

WeightOp concatenated(std::vector<int64_t> sizes) {
  const int64_t rows = std::accumulate(sizes.begin(), sizes.end(), int64_t{0});
  return {[rows](const std::vector<Raw>& theirs) {
            auto shape = theirs.at(0).shape;
            shape.at(0) = rows;
            return in_pieces(theirs, std::move(shape));
          },
          [sizes = std::move(sizes)](const Raw& ours) {
            std::vector<Raw> theirs;
            int64_t first = 0;
            for (const int64_t size : sizes) {
              theirs.push_back(rows_of(ours, first, size));
              first += size;
            }
            return theirs;
          }};
}

WeightOp without_first_rows(int64_t rows) {
  return single([rows](const Raw& x) { return rows_of(x, rows, x.shape.at(0) - rows); },
                [rows](const Raw& x) { return with_zeros_before(x, rows); });
}

WeightOp reshaped(std::vector<int64_t> ours, std::vector<int64_t> theirs) {
  return single([ours = std::move(ours)](const Raw& x) { return with_shape(x, ours); },
                [theirs = std::move(theirs)](const Raw& x) { return with_shape(x, theirs); });
}

WeightOp interleaved_heads(int64_t heads, int64_t width) {
  return single([=](const Raw& x) { return with_swapped_blocks(x, heads, 3, width); },
                [=](const Raw& x) { return with_swapped_blocks(x, 3, heads, width); });
}

WeightOp stacked(int64_t count, size_t inputs, WeightOp each) {
  return {[=](const std::vector<Raw>& theirs) {
            std::vector<Raw> entries;
            for (auto first = theirs.begin(); first != theirs.end(); first += static_cast<int64_t>(inputs))
              entries.push_back(each.join({first, first + static_cast<int64_t>(inputs)}));
            auto shape = entries.at(0).shape;
            shape.insert(shape.begin(), count);
            return in_pieces(entries, std::move(shape));
          },
          [=](const Raw& ours) {
            std::vector<Raw> theirs;
            for (int64_t i = 0; i < count; ++i) {
              const Raw entry = rows_of(ours, i, 1);
              for (auto& tensor : each.split(with_shape(entry, {entry.shape.begin() + 1, entry.shape.end()})))
                theirs.push_back(std::move(tensor));
            }
            return theirs;
          }};
}

}  // namespace weight_op

bool WeightRules::has(const std::string& ours) const {
  const auto found = parameters_.find(ours);
  return found != parameters_.end() && !found->second.shared;
}

int64_t WeightRules::count(const std::string& prefix) const {
  const auto [entry, fresh] = counts_.try_emplace(prefix, 0);
  const auto is_there = [&](const std::string& start) {
    const auto next = parameters_.lower_bound(start);
    return next != parameters_.end() && next->first.starts_with(start);
  };
  if (fresh)
    while (is_there(fmt::format("{}{}.", prefix, entry->second))) ++entry->second;
  return entry->second;
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

std::vector<int64_t> segment_sizes(const Parameter& param) {
  std::vector<int64_t> sizes;
  for (const auto& segment : param.dims.at(0).segments) sizes.push_back(Dim::product(segment).size());
  return sizes;
}

namespace {

// Finds their tensors by name, as files of different age spell them, and remembers which were read.
class Shelf {
 public:
  Shelf(const RawMap& tensors, const TheirNames& names, const std::string& where)
      : tensors_(tensors), names_(names), where_(where) {}

  const Raw& take(const std::string& name) {
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
             fmt::join(tensor.shape, ", "));
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

  const RawMap& tensors_;
  const TheirNames& names_;
  const std::string& where_;
  std::set<std::string> read_;
};

// The shapes that the operation expects, found by undoing it on a tensor without values; and one type.
void check(const WeightRule& rule, const Parameter& param, const std::vector<Raw>& theirs,
           const std::string& where) {
  const auto expected = rule.op.split({Dtype::float32, param.shape()});
  for (size_t i = 0; i < theirs.size(); ++i) {
    if (theirs[i].shape != expected.at(i).shape)
      fail("{}: tensor '{}': expected shape [{}], found [{}]", where, rule.theirs[i],
           fmt::join(expected[i].shape, ", "), fmt::join(theirs[i].shape, ", "));
    if (theirs[i].dtype != theirs[0].dtype)
      fail("{}: tensor '{}': expected {}, which '{}' is, found {}", where, rule.theirs[i],
           dtype_name(theirs[0].dtype), rule.theirs[0], dtype_name(theirs[i].dtype));
  }
}

}  // namespace

RawMap import_weights(const WeightRules& rules, const RawMap& theirs, const TheirNames& names,
                      const std::string& where) {
  Shelf shelf(theirs, names, where);
  RawMap ours;
  for (const auto& rule : rules.list()) {
    std::vector<Raw> parts;
    for (const auto& name : rule.theirs) parts.push_back(shelf.take(name));
    check(rule, rules.param(rule.ours), parts, where);
    ours[rule.ours] = rule.op.join(parts);
  }
  for (const auto& [name, param] : rules.parameters()) {
    if (param.shared || ours.contains(name)) continue;
    if (!param.fixed) fail("{}: no tensor gives the parameter '{}'", where, name);
    ours[name] = param.fixed();
  }
  shelf.finish();
  return ours;
}

RawMap export_weights(const WeightRules& rules, const RawMap& ours) {
  RawMap theirs;
  std::set<std::string> written;
  for (const auto& rule : rules.list()) {
    const auto found = ours.find(rule.ours);
    if (found == ours.end()) fail("parameter '{}' has no value of its own", rule.ours);
    const auto parts = rule.op.split(found->second);
    for (size_t i = 0; i < parts.size(); ++i) theirs[rule.theirs.at(i)] = parts[i];
    written.insert(rule.ours);
  }
  for (const auto& [name, value] : ours)
    if (!rules.parameters().at(name).fixed && !written.contains(name))
      fail("parameter '{}' has no place in that family", name);
  return theirs;
}

}  // namespace formwork
