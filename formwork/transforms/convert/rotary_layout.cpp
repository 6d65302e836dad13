#include "formwork/transforms/convert/rotary_layout.h"

#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

const char* layout_name(Pairs pairs) { return pairs == Pairs::halves ? "half" : "interleaved"; }

bool is_rotary(const Json& part) {
  return part == "rotary" || (part.is_object() && part.value("type", Json()) == "rotary");
}

// Says the layout in every rotary position below `json`: an option, or an entry of the table of parts.
void set_layout(Json& json, Pairs pairs) {
  if (!json.is_structured()) return;
  for (auto& [key, value] : json.items()) {
    if (key.ends_with("position") && is_rotary(value)) {
      if (value.is_string()) value = {{"type", value}};
      value["layout"] = layout_name(pairs);
    } else {
      set_layout(value, pairs);
    }
  }
}

// The change; nothing where the model has no other pairs.
std::optional<Edit> arrange(const Model& model, Pairs pairs) {
  const auto& axes = model.inventory().axes;
  const auto differs = [&](const auto& entry) {
    return entry.second.turned > 0 && entry.second.pairs != pairs;
  };
  if (std::none_of(axes.begin(), axes.end(), differs)) return std::nullopt;
  Edit edit(model);
  edit.arrange_pairs(pairs);
  set_layout(edit.spec().model.options, pairs);
  set_layout(edit.spec().parts, pairs);
  return edit;
}

class RotaryLayout final : public Transform {
 public:
  struct Options {
    std::string layout = "half";
    void describe(Fields& f) {
      f.choice("layout", layout, {"half", "interleaved"}, "pairs (i, i + n / 2), or (2 i, 2 i + 1)");
    }
  };
  explicit RotaryLayout(const Options& options) : options_(options) {}
  bool reads_data() const override { return false; }
  std::vector<Json> budgets() const override { return {}; }  // it makes nothing smaller
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration&) override {
    auto edit = arrange(*model, options_.layout == "half" ? Pairs::halves : Pairs::neighbours);
    if (!edit)
      throw NothingChanged(
          fmt::format("rotary_layout: the model has no rotary pairs but '{}' ones", options_.layout));
    edit->record("rotary_layout", options_json(options_));
    return {edit->finish(), Json::object()};
  }

 private:
  Options options_;
};

FORMWORK_PART(Transform, RotaryLayout, "rotary_layout", "rotary pairs half a head apart, or neighbours");

}  // namespace

std::shared_ptr<Model> with_rotary_layout(const std::shared_ptr<Model>& model, Pairs pairs) {
  auto edit = arrange(*model, pairs);
  return edit ? edit->finish() : model;
}

}  // namespace formwork
