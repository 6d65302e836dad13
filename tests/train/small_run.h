// A decoder and a text task small enough to train in a test.
#pragma once
#include <filesystem>
#include <string>

#include "formwork/core/file.h"
#include "formwork/train/trainer.h"
#include "interop/temporary_folder.h"

namespace formwork {

inline std::string small_text() {
  std::string text;
  for (int i = 0; i < 120; ++i) text += fmt::format("the {} cat sat on mat {}. ", i % 7, i % 5);
  return text;
}

inline std::shared_ptr<Model> small_decoder(double dropout = 0, at::ScalarType dtype = at::kFloat,
                                            uint64_t seed = 1) {
  const Json json = {{"formwork", 1},
                     {"model",
                      {{"type", "decoder"},
                       {"vocab", 256},
                       {"width", 16},
                       {"position", "learned"},
                       {"layers",
                        {{"repeat", 2},
                         {"pattern",
                          {{{"dropout", dropout},
                            {"mixer", {{"type", "attention"}, {"heads", 2}}},
                            {"channel", {{"type", "gated_mlp"}, {"hidden", 24}}}}}}}}}}};
  return build_model(Spec::from_json(json, "test"), seed, dtype);
}

inline std::unique_ptr<Task> small_task(const std::filesystem::path& folder) {
  const auto file = folder / "text.txt";
  write_atomically(file, small_text());
  PartSpec spec("text");
  spec.options = {{"file", file.string()}, {"length", 16}};
  return Registry<Task>::make(spec);
}

inline TrainOptions small_options() {
  TrainOptions options;
  options.steps = 8, options.batch = 4, options.rate = 1e-2, options.quiet = true;
  return options;
}

inline double greatest_difference(const Model& a, const Model& b) {
  double greatest = 0;
  auto other = b.inventory().params.begin();
  for (const auto& param : a.inventory().params) {
    greatest = std::max(greatest, (param.value - other->value).abs().max().item<double>());
    ++other;
  }
  return greatest;
}

}  // namespace formwork
