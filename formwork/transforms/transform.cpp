#include "formwork/transforms/transform.h"

#include <set>

#include "formwork/linear/nested.h"

namespace formwork {

FORMWORK_KIND(Transform);

void run_calibration(Model& model, const Calibration& data, TapBoard& board) {
  if (data.batches.empty()) fail("calibration: no data was given");
  const at::NoGradGuard guard;
  for (const auto& batch : data.batches) {
    auto ctx = model.make_context(&board);
    model.forward(ctx, batch);
  }
}

Calibration at_most(const Calibration& data, int64_t sequences, int64_t length) {
  Calibration cut;
  int64_t left = sequences > 0 ? sequences : INT64_MAX;
  for (const auto& batch : data.batches) {
    if (left <= 0) break;
    if (batch.count("offsets")) {
      cut.batches.push_back(batch);
      left -= batch.at("offsets").numel() - 1;
      continue;
    }
    Record record;
    int64_t rows = 0;
    for (const auto& [name, value] : batch) {
      rows = std::min(left, value.size(0));
      record[name] = value.narrow(0, 0, rows);
      const bool tokens = value.dim() == 2 || value.dim() == 3;  // images [B, C, H, W] stay whole
      if (length > 0 && tokens && value.size(1) > length) record[name] = record[name].narrow(1, 0, length);
    }
    cut.batches.push_back(record);
    left -= rows;
  }
  return cut;
}

void Moments::add(const Tensor& x, bool with_outer) {
  const auto wide = x.to(at::kDouble);
  const auto plus = [](Tensor& total, const Tensor& part) {
    total.defined() ? total.add_(part) : total = part;
  };
  count += wide.size(0);
  plus(sum, wide.sum(0));
  plus(squares, wide.square().sum(0));
  if (!with_outer) return;
  if (!outer.defined()) outer = at::zeros({wide.size(1), wide.size(1)}, wide.options());
  outer.addmm_(wide.t(), wide);
}

void require_finite(const TapEvent& event, const Tensor& x, size_t batch) {
  if (!x.isfinite().all().item<bool>())
    fail("'{}' is not finite on batch {} of the calibration data", event.name, batch);
}

std::map<Slot, Moments> collect_moments(Model& model, const Calibration& data, const std::vector<Slot>& taps,
                                        bool with_outer) {
  std::map<Slot, Moments> moments;
  auto board = model.make_board();
  size_t at = 0;
  for (const Slot slot : taps)
    board.listen(slot, [&](Context& ctx, const TapEvent& event, const Tensor& x) {
      require_finite(event, x, at);
      moments[event.slot].add(real_tokens(ctx, x), with_outer);
      return x;
    });
  for (; at < data.batches.size(); ++at) run_calibration(model, {{data.batches[at]}}, board);
  if (data.batches.empty()) fail("calibration: no data was given");
  return moments;
}

bool is_block_role(Role role) {
  return role != Role::embed && role != Role::head && role != Role::shortcut && role != Role::router &&
         role != Role::conv && role != Role::transfer;
}

std::string why_not_block_map(const LinearMap& map) {
  if (!is_block_role(map.role()))
    return fmt::format("a map of role '{}' stays as it is", role_name(map.role()));
  if (map.type() != "dense") return fmt::format("expected a dense map, found '{}'", map.type());
  if (map.banks() > 0) return fmt::format("a bank of {} matrices", map.banks());
  return {};
}

Json row_of(const LinearMap& map, const Stays& stays) {
  Json row = {{"map", map.path()}, {"skipped", stays.reason}};
  if (stays.warns) row["warns"] = true;
  return row;
}

void MapsByReason::add(const std::string& reason, const std::string& path) {
  auto found =
      std::find_if(paths_.begin(), paths_.end(), [&](const auto& entry) { return entry.first == reason; });
  if (found == paths_.end()) found = paths_.insert(found, {reason, {}});
  found->second.push_back(fmt::format("'{}'", path));
}

std::vector<std::string> MapsByReason::lines(std::string_view one, std::string_view many) const {
  constexpr size_t kNamed = 3;
  std::vector<std::string> lines;
  for (const auto& [reason, paths] : paths_) {
    const size_t named = std::min(kNamed, paths.size());
    lines.push_back(fmt::format("{}{}{}: {}",
                                fmt::join(paths.begin(), paths.begin() + static_cast<int64_t>(named), ", "),
                                paths.size() > named ? fmt::format(" and {} more", paths.size() - named) : "",
                                paths.size() > 1 ? many : one, reason));
  }
  return lines;
}

void warn_of_left_maps(Json& report) {
  MapsByReason left;
  for (const auto& row : report.at("maps"))
    if (row.contains("warns")) left.add(row["skipped"].get<std::string>(), row["map"].get<std::string>());
  for (const auto& line : left.lines(" stays as it is", " stay as they are"))
    report["warnings"].push_back(line);
}

Stays why_left(const Model& model, const LinearMap& map, const char* method, bool factors_too) {
  const auto type = map.type();
  if (type == "low_rank") return {"factorized already", !factors_too};
  if (type == "ced") return {"a convolution in two steps is not factorized again", true};
  if (type == "stacked") return {"its segments are treated one by one"};
  if (type == "depthwise") return {"one filter for each channel is no product of two maps", true};
  const auto* outer = enclosing(model.inventory().maps, map);
  if (outer && outer->type() == "low_rank" && !factors_too)
    return {fmt::format("a factor of '{}'", outer->path())};
  if (type != "dense" && type != "conv")
    fail("{}: '{}' is kept as {}; expected dense weights: run to_dense first", method, map.path(), type);
  return {};
}

std::vector<LinearMap*> block_maps(const Model& model) {
  std::vector<LinearMap*> maps;
  for (auto* map : model.inventory().maps)
    if (why_not_block_map(*map).empty()) maps.push_back(map);
  return maps;
}

BlockSize block_size(const Model& before, const Model& after) {
  BlockSize size;
  std::set<std::string> paths;
  for (const auto* map : before.inventory().maps) {
    if (!is_block_role(map->role()) || map->type() != "dense") continue;
    paths.insert(map->path());
    size.weights += static_cast<double>(map->in() * map->out() * std::max<int64_t>(1, map->banks()));
  }
  for (const auto* map : after.inventory().maps)
    if (paths.count(map->path())) size.bytes += static_cast<double>(map->bytes());
  return size;
}

Budget bits_budget(double asked, const Model& before, const Model& after) {
  const auto size = block_size(before, after);
  return {"bits a block weight", asked, 8 * size.bytes / size.weights};
}

std::vector<Slot> input_taps(const std::vector<LinearMap*>& maps) {
  std::vector<Slot> taps;
  for (const auto* map : maps)
    if (std::find(taps.begin(), taps.end(), map->input_tap()) == taps.end()) taps.push_back(map->input_tap());
  return taps;
}

Tensor finite_weight(LinearMap& map) {
  const auto weight = map.dense();
  const auto bad = weight.isfinite().all(-1).logical_not().nonzero();
  if (bad.numel())
    fail("'{}': row {} of the weight has an entry that is not finite", map.path(),
         bad[0][-1].item<int64_t>());
  return weight;
}

namespace {

// Replaces a map or not; returns its row of the report.
Json replace_one(Edit& edit, LinearMap& map, const Replace& replace, bool& any) {
  const auto made = replace(map);
  if (!made.representation) return row_of(map, made.stays);
  any = true;
  int64_t bytes = 0;
  for (const auto& [name, tensor] : made.tensors) bytes += static_cast<int64_t>(tensor.nbytes());
  if (map.bias() && !made.tensors.count("bias")) bytes += static_cast<int64_t>(map.bias()->value.nbytes());
  edit.replace(map, *made.representation, made.tensors);
  Json row = {{"map", map.path()},
              {"was", map.type()},
              {"now", made.representation->type},
              {"bytes_before", map.bytes()},
              {"bytes", bytes}};
  row.update(made.row);
  return row;
}

}  // namespace

TransformResult replace_maps(const std::shared_ptr<Model>& model, const std::vector<LinearMap*>& maps,
                             const std::string& transform, const Json& options, const Replace& replace) {
  const at::NoGradGuard guard;
  TransformResult result{model, {{"maps", Json::array()}}};
  Edit edit(*model);
  bool any = false;
  std::string reason = "the model has no maps";
  for (auto* map : maps) {
    auto row = replace_one(edit, *map, replace, any);
    if (row.contains("skipped")) reason = map->path() + ": " + row["skipped"].get<std::string>();
    result.report["maps"].push_back(std::move(row));
  }
  if (!any) fail("{}: no map can be treated ({})", transform, reason);
  warn_of_left_maps(result.report);
  edit.record(transform, options);
  result.model = edit.finish();
  return result;
}

TransformResult replace_block_maps(const std::shared_ptr<Model>& model, const std::string& transform,
                                   const Json& options, const Replace& replace) {
  const auto& maps = model->inventory().maps;
  return replace_maps(model, maps, transform, options, [&](LinearMap& map) {
    const auto reason = why_not_block_map(map);
    return reason.empty()
               ? replace(map)
               : Replacement::skip(Stays{reason, is_block_role(map.role()) && !has_pieces(maps, map)});
  });
}

double output_error(const Tensor& difference, const Moments& moments) {
  const auto d = difference.to(at::kDouble);
  return (d.matmul(moments.outer) * d).sum().item<double>() / static_cast<double>(moments.count);
}

}  // namespace formwork
