// Transforms: a model, data and options become another model and a report. They work on maps, axes, norms and
// taps of the inventory, never on class or weight names.
#pragma once
#include <any>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "formwork/core/factory.h"
#include "formwork/tap/real_tokens.h"
#include "formwork/transforms/edit.h"

namespace formwork {

// What transforms found out about one model on one set of records, for those that come after them. Who hands
// the same Findings to several calls of apply() promises the same model and the same records.
class Findings {
 public:
  // The value under `key`, made at the first call.
  template <class Value>
  const Value& find(const std::string& key, const std::function<Value()>& make) {
    auto& found = values_[key];
    if (!found.has_value()) found = make();
    return std::any_cast<const Value&>(found);
  }

 private:
  std::map<std::string, std::any> values_;
};

// Records to calibrate on (input_ids and, where rows are padded, attention_mask).
struct Calibration {
  std::vector<Record> batches;
  std::shared_ptr<Findings> findings = nullptr;  // none: everything is found anew
};

struct TransformResult {
  std::shared_ptr<Model> model;
  // What was done, map by map; "warnings": a list of lines that the caller should read.
  Json report = Json::object();
};

// What a method was asked to save and what it saved, in its own measure.
struct Budget {
  std::string measure;
  double asked = 0, reached = 0;
};

class Transform {
 public:
  static const char* kind() { return "transforms"; }
  static const char* noun() { return "transform"; }
  virtual ~Transform() = default;
  // Throws Error with the reason where the method cannot apply to this model.
  virtual TransformResult apply(const std::shared_ptr<Model>& model, const Calibration& data) = 0;
  // Whether apply looks at the data; where it does not, there may be none.
  virtual bool reads_data() const { return true; }
  // Options at several budgets, mildest first, for comparisons; none for what makes nothing smaller.
  virtual std::vector<Json> budgets() const = 0;
  // Of a result of apply(); nothing where the options ask for no amount.
  virtual std::optional<Budget> budget(const Model& before, const TransformResult& made) const {
    return std::nullopt;
  }
};

template <>
class Registry<Transform> : public Factory<Transform> {};

// Runs the model over the data without gradients, with a board that delivers to the listeners.
void run_calibration(Model& model, const Calibration& data, TapBoard& board);

// The first `sequences` rows of the data, cut to their first `length` tokens; 0: all. Packed rows stay whole.
Calibration at_most(const Calibration& data, int64_t sequences, int64_t length);

// Sums over the real tokens [N, D] that reach a tap, in double.
struct Moments {
  int64_t count = 0;
  Tensor sum, squares;  // [D]
  Tensor outer;         // [D, D], sum of x^T x; undefined where it was not asked for
  void add(const Tensor& x, bool with_outer);
};
// Fails, naming the tap and the batch of the data, where a value is not finite.
void require_finite(const TapEvent& event, const Tensor& x, size_t batch);
// The moments at taps over the data; a value that is not finite is an error that names the tap and the batch.
// Taps that no token reached are absent.
std::map<Slot, Moments> collect_moments(Model& model, const Calibration& data, const std::vector<Slot>& taps,
                                        bool with_outer);

// Whether maps of this role belong to the blocks: not embedding, head, shortcuts, routers, convolutions and
// transfer maps of drafts.
bool is_block_role(Role role);
// The maps of a model's blocks: every map but embedding, head and shortcuts, that is a single dense matrix.
std::vector<LinearMap*> block_maps(const Model& model);
// Why a map is none of them; empty for a block map.
std::string why_not_block_map(const LinearMap& map);
// Bytes in `after` of the block maps of `before` and of its dense banks of experts, as stored, and the number
// of their weights in `before`.
struct BlockSize {
  double bytes = 0, weights = 0;
};
BlockSize block_size(const Model& before, const Model& after);
// Bits a block weight, scales and maps that stay dense included.
Budget bits_budget(double asked, const Model& before, const Model& after);
// Why a map stays as it is. What the method or its options leave alone is no more than a row of the report;
// a map that was to be treated and could not be is a warning too.
struct Stays {
  std::string reason;  // empty: it does not
  bool warns = false;
};
// The row of a map that stays: {"map", "skipped": reason}, and "warns": true.
Json row_of(const LinearMap& map, const Stays& stays);
// Maps of which the same is to be said, in the order in which they came.
class MapsByReason {
 public:
  void add(const std::string& reason, const std::string& path);
  // A line for each reason: "'a', 'b', 'c' and 27 more MANY: reason"; ONE after a single map.
  std::vector<std::string> lines(std::string_view one = "", std::string_view many = "") const;

 private:
  std::vector<std::pair<std::string, std::vector<std::string>>> paths_;
};
// Adds a line to the report's warnings for each reason for which maps in its rows stay and warn.
void warn_of_left_maps(Json& report);

// For methods that factorize dense weights: why a map is left as it is; pieces of low-rank maps are left
// unless `factors_too`. A map kept in another form (codes, masks, adapters) is an error.
Stays why_left(const Model& model, const LinearMap& map, const char* method, bool factors_too = false);
std::vector<Slot> input_taps(const std::vector<LinearMap*>& maps);

// W of a map; an entry that is not finite is an error that names the map and the row.
Tensor finite_weight(LinearMap& map);

// What became of one map: its new representation and tensors, or the reason why it stays as it is.
struct Replacement {
  std::optional<PartSpec> representation;
  std::map<std::string, Tensor> tensors;
  Stays stays;
  Json row = Json::object();  // more for the report
  static Replacement skip(Stays stays) { return {std::nullopt, {}, std::move(stays), {}}; }
  static Replacement skip(std::string reason) { return skip(Stays{std::move(reason), false}); }
  // A map that was to be treated.
  static Replacement leave(std::string reason) { return skip(Stays{std::move(reason), true}); }
};
using Replace = std::function<Replacement(LinearMap&)>;

// Replaces maps one by one, with a row for each in the report: {"map", "was", "now", "bytes", "bytes_before"}
// or that of a map that stays, with warnings. Enters the transform into the Spec's history; fails when no map
// was replaced.
TransformResult replace_maps(const std::shared_ptr<Model>& model, const std::vector<LinearMap*>& maps,
                             const std::string& transform, const Json& options, const Replace& replace);
// The same over all block maps; the others get a row that says why they stay: banks, and maps kept in another
// form that are not made of maps, with a warning.
TransformResult replace_block_maps(const std::shared_ptr<Model>& model, const std::string& transform,
                                   const Json& options, const Replace& replace);

// Mean squared error of a map's outputs per token when W becomes W + difference, from the moments of its
// input.
double output_error(const Tensor& difference, const Moments& moments);

}  // namespace formwork
