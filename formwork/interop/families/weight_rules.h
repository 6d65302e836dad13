// Weight rules: how each parameter of a model is made of the tensors of another program's file, by an
// operation that can be undone. Import and export follow the same rules, with LibTorch and without.
//
//   ours = op.join(theirs),  theirs = op.split(ours);  split(join(x)) = x bit for bit, but for rows that a
//   rule leaves out because nothing reads them
//
// Operations view what they can: what is put together stays in pieces where the file has them.
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "formwork/interop/parameters.h"

namespace formwork {

struct WeightOp {
  std::function<Raw(const std::vector<Raw>&)> join;
  std::function<std::vector<Raw>(const Raw&)> split;
};

namespace weight_op {
WeightOp same();
WeightOp transposed();                              // ours [out, in], theirs [in, out] (GPT-2's Conv1D)
WeightOp concatenated(std::vector<int64_t> sizes);  // ours = theirs one below the other
WeightOp without_first_rows(int64_t rows);          // theirs has rows in front that no token reads
WeightOp reshaped(std::vector<int64_t> ours, std::vector<int64_t> theirs);
// Ours: all queries, then all keys, then all values; theirs (GPT-NeoX): q, k, v of head 0, of head 1, ...
WeightOp interleaved_heads(int64_t heads, int64_t width);
// Ours [n, ...]: a bank; theirs: for each of the n entries what `each` joins from `inputs` tensors.
WeightOp stacked(int64_t count, size_t inputs, WeightOp each);
}  // namespace weight_op

struct WeightRule {
  std::string ours;
  std::vector<std::string> theirs;
  WeightOp op;
};

// The rules of one model, which a family writes down by the parameters that the model has.
class WeightRules {
 public:
  // The parameters must outlive the rules.
  explicit WeightRules(const Parameters& parameters) : parameters_(parameters) {}

  const Parameters& parameters() const { return parameters_; }
  // Whether the model stores a parameter of this name (and does not share another's).
  bool has(const std::string& ours) const;
  const Parameter& param(const std::string& ours) const { return parameters_.at(ours); }
  // How many of "<prefix>0.", "<prefix>1.", ... there are.
  int64_t count(const std::string& prefix) const;

  // Left out where the model has no such parameter.
  void add(const std::string& ours, std::vector<std::string> theirs, WeightOp op = weight_op::same());
  // Weight and bias of a map or norm; `theirs` without the suffix.
  void map(const std::string& ours, const std::string& theirs, const WeightOp& op = weight_op::same());
  void maps(const std::string& ours, const std::vector<std::string>& theirs);  // one below the other
  // "<ours>.qkv", or query, key and value apart; and out.
  void attention(const std::string& ours, const std::string& query, const std::string& key,
                 const std::string& value, const std::string& out);
  void gated(const std::string& ours, const std::string& gate, const std::string& up,
             const std::string& down);
  const std::vector<WeightRule>& list() const { return rules_; }

 private:
  const Parameters& parameters_;
  mutable std::map<std::string, int64_t> counts_;  // families ask at every layer
  std::vector<WeightRule> rules_;
};

// Sizes of the segments of a parameter's first dimension.
std::vector<int64_t> segment_sizes(const Parameter& param);

// How names vary between files of one family.
struct TheirNames {
  std::string prefix;                // "transformer.": some files leave it out
  std::vector<std::string> ignored;  // patterns of tensors that nothing reads
};

// Every parameter of the model, from theirs; fixed ones (rotary frequencies) take their own values. An Error
// names the tensor that is missing, of the wrong shape, or not expected.
RawMap import_weights(const WeightRules& rules, const RawMap& theirs, const TheirNames& names,
                      const std::string& where);

// Their tensors, from the values of the model's parameters. An Error names the parameter that no rule writes.
RawMap export_weights(const WeightRules& rules, const RawMap& ours);

}  // namespace formwork
