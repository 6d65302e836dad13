// Windows of another side, for images of another size (Liu et al., "Swin Transformer", 2021): the table of
// each attention in windows, [(2M - 1)^2, heads], is a picture of offsets for each head, which is
// interpolated by cubic splines to (2M' - 1)^2, centres on centres. Shifted windows shift by half of the new
// side.
#include "formwork/mixers/attention/windows.h"
#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

// table [from^dimensions, H] -> [to^dimensions, H].
Tensor stretched(const Tensor& table, int64_t dimensions, int64_t from, int64_t to) {
  const int64_t heads = table.size(1), height = dimensions == 2 ? from : 1;
  const auto picture = table.to(at::kDouble).t().reshape({1, heads, height, from});
  const auto wide = at::upsample_bicubic2d(picture, {dimensions == 2 ? to : 1, to}, /*align_corners=*/false);
  return wide.view({heads, -1}).t().to(table.scalar_type()).contiguous();
}

class ResizeWindows final : public Transform {
 public:
  struct Options {
    int64_t window = 12;
    void describe(Fields& f) { f.integer("window", window, "tokens of a side of a window", 1, 1024); }
  };
  explicit ResizeWindows(const Options& options) : options_(options) {}
  std::vector<Json> budgets() const override { return {}; }  // it makes nothing smaller
  bool reads_data() const override { return false; }

  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration&) override {
    const at::NoGradGuard guard;
    Edit edit(*model);
    Json report = {{"windows", Json::array()}};
    for (const auto& [path, part] : model->inventory().parts) {
      const auto* windows = facet<WindowTable>(*part);
      if (!windows || windows->window() == options_.window) continue;
      edit.spec().parts[path] = windows->with_window(options_.window).to_json();
      if (const Param* param = windows->table()) {
        auto& table = edit.tensor(param->name);
        table = stretched(table, windows->dimensions(), 2 * windows->window() - 1, 2 * options_.window - 1);
      }
      report["windows"].push_back({{"part", path}, {"was", windows->window()}, {"now", options_.window}});
    }
    if (report["windows"].empty())
      fail("resize_windows: the model has no attention in windows of another side than {}", options_.window);
    edit.record("resize_windows", options_json(options_));
    return {edit.finish(), report};
  }

 private:
  Options options_;
};

FORMWORK_PART(Transform, ResizeWindows, "resize_windows",
              "attention in windows of another side, with its tables interpolated");

}  // namespace
}  // namespace formwork
