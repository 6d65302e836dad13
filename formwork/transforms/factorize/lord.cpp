// LoRD: Low Rank Decomposition of Monolingual Code LLMs for One-Shot Compression (Kaushal et al., 2023). Each
// map of a decoder is split by the principal subspace of its own outputs on calibration data, without
// training; see output_basis.h. A pair of rank r saves where r < r* = in out / (in + out). The matrices of a
// bank of experts are split one by one, each by the outputs of the tokens that take it, all at one rank.
//
// The factors are maps of their own ("<path>.a", "<path>.b"), so that they can be quantized or adapted next.
#include "formwork/transforms/factorize/map_bases.h"
#include "formwork/transforms/factorize/rank_scan.h"
#include "formwork/transforms/factorize/split_fused.h"
#include "formwork/transforms/modules.h"

namespace formwork {
namespace {

class Lord final : public Transform {
 public:
  struct Options {
    double ratio = 0.2;
    int64_t rank = 0, align = 0, sequences = 512;
    std::string basis = "afm_centred", order = "one_shot", allocation = "scan";
    Json ranks = Json::object(), types = Json::array();
    std::vector<double> scan = {0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3};
    bool split_fused = false, allow_full = false, strict = false;
    void describe(Fields& f) {
      f.number("ratio", ratio, "share of the parameters of the chosen maps that is removed", 0, 1);
      f.choice("allocation", allocation, {"scan", "uniform"},
               "the same share of each map, or shares by type from a sensitivity scan");
      f.numbers("scan", scan, "the shares of the break-even rank that the scan tries, descending");
      f.json("ranks", ranks,
             "ranks by type instead of a ratio: {\"qkv\": 64, \"down\": 96}; others stay dense");
      f.integer("rank", rank, "one rank for every map instead of a ratio; 0: none");
      f.integer("align", align, "ranks are a multiple of this; 0: 128 for maps 1024 wide, 1 for smaller ones",
                0, 65536);
      f.json("types", types, "types of maps (roles) that are factorized; empty: all of the blocks");
      f.choice("basis", basis, output_bases(), "what the subspace is taken from");
      f.choice("order", order, {"one_shot", "sequential"},
               "all maps from the dense model, or each after those before it");
      f.integer("sequences", sequences, "most calibration rows that are used; 0: all");
      f.flag("split_fused", split_fused, "query, key and value (gate, up) of a fused map one by one");
      f.flag("allow_full", allow_full, "factorize even where nothing is saved (otherwise a map stays dense)");
      f.flag("strict", strict, "a rank that saves nothing is an error instead of a map that stays dense");
    }
  };
  explicit Lord(const Options& options);
  std::vector<Json> budgets() const override {
    return {{{"ratio", 0.1}}, {{"ratio", 0.2}}, {{"ratio", 0.3}}};
  }
  std::optional<Budget> budget(const Model& before, const TransformResult& made) const override {
    if (options_.rank > 0) return std::nullopt;
    const double kept = block_size(before, *made.model).bytes / block_size(before, before).bytes;
    return Budget{"share of block weights removed", options_.ratio, 1 - kept};
  }
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration& data) override;

 private:
  Stays why_kept(const Model& model, const LinearMap& map) const;
  std::vector<LinearMap*> chosen(const Model& model) const;
  void check_types(const Model& model) const;
  Shares scan(Model& model, Calibration data, const std::vector<LinearMap*>& maps, Json& report) const;
  int64_t rank_of(const LinearMap& map, const MapBasis& basis, const Shares& shares) const;
  Stays why_dense(const LinearMap& map, const Shares& shares) const;
  Json factorize(Edit& edit, LinearMap& map, const MapBasis& basis, const Shares& shares) const;
  std::shared_ptr<Model> factored(Model& model, const MapBases& bases, const Shares& shares, bool record,
                                  Json& report) const;
  std::shared_ptr<Model> one_by_one(std::shared_ptr<Model> model, const Calibration& data,
                                    const Shares& shares, Json& report) const;
  Options options_;
};

// Nothing was factorized: says why, of the last map.
[[noreturn]] void fail_for_nothing(const Json& report) {
  std::string reason = "too few calibration tokens";
  for (const auto& row : report.at("maps"))
    if (row.contains("warns"))
      reason = row.at("map").get<std::string>() + ": " + row.at("skipped").get<std::string>();
  if (!report.at("warnings").empty()) reason += "; " + report.at("warnings").back().get<std::string>();
  fail("lord: no map is factorized ({})", reason);
}

std::string type_of(const LinearMap& map) { return role_name(map.role()); }

int64_t matrices_in(const LinearMap& map) { return std::max<int64_t>(1, map.banks()); }

int64_t size_of(const LinearMap& map) { return matrices_in(map) * map.in() * map.out(); }

double break_even(const LinearMap& map) {
  return static_cast<double>(map.in()) * static_cast<double>(map.out()) /
         static_cast<double>(map.in() + map.out());
}

Lord::Lord(const Options& options) : options_(options) {
  if (!options.ranks.is_object())
    fail("lord: option 'ranks' must be an object of types and ranks, found {}", options.ranks.dump());
  if (!options.types.is_array())
    fail("lord: option 'types' must be a list of types, found {}", options.types.dump());
  for (const auto& [type, rank] : options.ranks.items())
    if (!rank.is_number_integer() || rank.get<int64_t>() < 1)
      fail("lord: option 'ranks.{}' must be a whole number from 1, found {}", type, rank.dump());
  double before = 1;
  for (const double share : options.scan) {
    if (!(share > 0 && share < before))
      fail("lord: option 'scan' must descend from below 1, found {}", share);
    before = share;
  }
}

// Why a map is not factorized: the dense ones of the blocks are, and the head where `types` names it.
Stays Lord::why_kept(const Model& model, const LinearMap& map) const {
  const auto role = map.role();
  const auto& types = options_.types;
  const bool named = std::find(types.begin(), types.end(), Json(type_of(map))) != types.end();
  if (!is_block_role(role) && role != Role::head)
    return {fmt::format("a map of role '{}' stays as it is", role_name(role))};
  if (!named && (!types.empty() || role == Role::head)) return {"not of the chosen types"};
  if (map.banks() > 0 && !pool_of(model, map))
    return {fmt::format("a bank of {} matrices among which no router chooses", map.banks()), true};
  return why_left(model, map, "lord");
}

std::vector<LinearMap*> Lord::chosen(const Model& model) const {
  std::vector<LinearMap*> maps;
  for (auto* map : model.inventory().maps)
    if (why_kept(model, *map).reason.empty()) maps.push_back(map);
  return maps;
}

void Lord::check_types(const Model& model) const {
  std::set<std::string> known;
  for (const auto* map : model.inventory().maps)
    if (map->role() != Role::embed) known.insert(type_of(*map));
  const std::vector<std::string> list(known.begin(), known.end());
  const auto check = [&](const std::string& type) {
    if (!known.count(type))
      fail("lord: unknown type '{}'; the model's types are {}", type, fmt::join(list, ", "));
  };
  for (const auto& type : options_.types) check(type.is_string() ? type.get<std::string>() : type.dump());
  for (const auto& [type, rank] : options_.ranks.items()) check(type);
}

// 0: the map stays dense.
int64_t Lord::rank_of(const LinearMap& map, const MapBasis& basis, const Shares& shares) const {
  const auto type = type_of(map);
  const double even = break_even(map);
  int64_t rank = options_.rank;
  if (const auto given = options_.ranks.find(type); given != options_.ranks.end()) {
    rank = given->get<int64_t>();
  } else if (rank == 0) {
    const auto share = shares.find(type);
    if (share == shares.end()) return 0;
    rank = static_cast<int64_t>(share->second * even);
  }
  const int64_t asked = rank;
  const int64_t align = options_.align ? options_.align : std::min(map.in(), map.out()) >= 1024 ? 128 : 1;
  rank = std::min(rank, basis.most);
  if (options_.allow_full) return rank;
  rank = rank / align * align;
  if (rank > 0 && static_cast<double>(rank) < even) return rank;
  if (options_.strict)
    fail("lord: rank {} of '{}' saves nothing: it must be a multiple of {} from 1 to below {:.1f}", asked,
         map.path(), align, even);
  return 0;
}

// Of a map without a rank.
Stays Lord::why_dense(const LinearMap& map, const Shares& shares) const {
  const auto type = type_of(map);
  if (options_.rank == 0 && !options_.ranks.contains(type)) {
    if (!options_.ranks.empty()) return {"option 'ranks' does not name its type"};
    if (!shares.count(type)) return {"the scan keeps its type dense"};
  }
  return {fmt::format("no rank below {:.1f}, where it would save, was chosen", break_even(map)),
          /*warns=*/true};
}

Json Lord::factorize(Edit& edit, LinearMap& map, const MapBasis& basis, const Shares& shares) const {
  const int64_t rank = rank_of(map, basis, shares);
  if (rank == 0) return row_of(map, why_dense(map, shares));
  Json row = {{"map", map.path()}, {"type", type_of(map)}, {"parameters_before", size_of(map)}};
  const bool biased = map.bias() || options_.basis == "afm_centred";
  const auto made = split_matrices(map, basis, rank, biased);
  edit.replace(map, PartSpec::from_json({{"type", "low_rank"}, {"rank", rank}}, "lord"), made.tensors);
  row.update(
      {{"rank", rank},
       {"rank_reduction", 1 - static_cast<double>(rank) / static_cast<double>(std::min(map.in(), map.out()))},
       {"parameters", matrices_in(map) * rank * (map.in() + map.out())},
       {"predicted_error", made.error}});
  if (made.by_weights > 0) row["by_weights"] = made.by_weights;
  return row;
}

std::shared_ptr<Model> Lord::factored(Model& model, const MapBases& bases, const Shares& shares, bool record,
                                      Json& report) const {
  Edit edit(model);
  bool any = false;
  for (auto* map : chosen(model)) {
    const auto basis = bases.find(map->path());
    if (basis == bases.end()) continue;
    report["maps"].push_back(factorize(edit, *map, basis->second, shares));
    any |= report["maps"].back().contains("rank");
  }
  if (!any) fail_for_nothing(report);
  if (record) edit.record("lord", options_json(options_));
  return edit.finish();
}

// The ratio alone is free to differ between those who share a scan.
Shares Lord::scan(Model& model, Calibration data, const std::vector<LinearMap*>& maps, Json& report) const {
  std::map<std::string, int64_t> types;
  for (const auto* map : maps) types[type_of(*map)] += size_of(*map);
  const std::function<RankScan()> make = [&] {
    // Perplexity is measured on rows that the subspaces have not seen, where there are enough.
    Calibration held = data;
    if (const size_t batches = data.batches.size(); batches > 1) {
      const auto border = data.batches.begin() + static_cast<int64_t>(batches - (batches + 3) / 4);
      held.batches.assign(border, data.batches.end());
      data.batches.erase(border, data.batches.end());
    }
    Json unused = Json::array();
    const auto bases = find_bases(model, data, maps, options_.basis, unused);
    return scan_ranks(types, options_.scan, [&](const Shares& shares) {
      if (shares.empty()) return log_perplexity(model, held);
      Json dropped = {{"maps", Json::array()}, {"warnings", Json::array()}};
      return log_perplexity(*factored(model, bases, shares, false, dropped), held);
    });
  };
  Json key = options_json(options_);
  key.erase("ratio");
  const auto scan = data.findings ? data.findings->find<RankScan>("lord " + key.dump(), make) : make();
  report["dense_perplexity"] = std::exp(scan.dense);
  for (const auto& point : scan.points)
    report["scan"].push_back(
        {{"type", point.type}, {"share", point.share}, {"perplexity", std::exp(point.log_perplexity)}});
  const auto shares = choose_shares(scan, types, options_.ratio);
  report["shares"] = shares;
  return shares;
}

std::shared_ptr<Model> Lord::one_by_one(std::shared_ptr<Model> model, const Calibration& data,
                                        const Shares& shares, Json& report) const {
  std::vector<std::string> paths;
  for (const auto* map : chosen(*model)) paths.push_back(map->path());
  bool any = false;
  for (const auto& path : paths) {
    std::vector<LinearMap*> one;
    for (auto* map : chosen(*model))
      if (map->path() == path) one.push_back(map);
    const auto bases = find_bases(*model, data, one, options_.basis, report["warnings"]);
    if (bases.empty()) continue;
    Edit edit(*model);
    report["maps"].push_back(factorize(edit, *one[0], bases.at(path), shares));
    if (!report["maps"].back().contains("rank")) continue;
    if (!any) edit.record("lord", options_json(options_));
    any = true;
    model = edit.finish();
  }
  if (!any) fail_for_nothing(report);
  return model;
}

void warn_of_few_tokens(Json& report) {
  for (const auto& row : report["maps"])
    if (row.contains("by_weights"))
      report["warnings"].push_back(fmt::format(
          "{} matrices of '{}' saw fewer calibration tokens than the rank {} and are split by their weights "
          "alone",
          row["by_weights"].get<int64_t>(), row["map"].get<std::string>(), row["rank"].get<int64_t>()));
}

TransformResult Lord::apply(const std::shared_ptr<Model>& original, const Calibration& given) {
  const at::NoGradGuard guard;
  check_types(*original);
  const auto model = options_.split_fused ? split_fused_maps(original) : original;
  const auto maps = chosen(*model);
  if (maps.empty()) fail("lord: the model has no dense maps of the chosen types");
  TransformResult result{model, {{"maps", Json::array()}, {"warnings", Json::array()}}};
  for (const auto* map : model->inventory().maps)
    if (const auto stays = why_kept(*model, *map); !stays.reason.empty())
      result.report["maps"].push_back(row_of(*map, stays));
  auto data = at_most(given, options_.sequences, 0);
  data.findings = given.findings;
  Shares shares;
  if (options_.rank == 0 && options_.ranks.empty()) {
    if (options_.allocation == "uniform") {
      for (const auto* map : maps) shares[type_of(*map)] = 1 - options_.ratio;
    } else {
      shares = scan(*model, data, maps, result.report);
    }
  }
  if (options_.order == "sequential") {
    result.model = one_by_one(model, data, shares, result.report);
  } else {
    const auto bases = find_bases(*model, data, maps, options_.basis, result.report["warnings"]);
    result.model = factored(*model, bases, shares, true, result.report);
  }
  warn_of_left_maps(result.report);
  warn_of_few_tokens(result.report);
  return result;
}

FORMWORK_PART(Transform, Lord, "lord", "split maps by the principal subspace of their outputs");

}  // namespace
}  // namespace formwork
