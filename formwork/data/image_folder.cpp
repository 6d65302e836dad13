#include "formwork/data/image_folder.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "formwork/core/error.h"
#include "formwork/data/image_file.h"

namespace formwork {
namespace {

std::vector<std::filesystem::path> sorted_entries(const std::filesystem::path& folder, bool folders) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (folders ? entry.is_directory() : entry.is_regular_file() && is_image_name(entry.path()))
      found.push_back(entry.path());
  std::sort(found.begin(), found.end());
  return found;
}

at::Tensor resized(const at::Tensor& image, int64_t side) {
  if (side == 0 || (image.size(1) == side && image.size(2) == side)) return image;
  const auto scaled = at::_upsample_bilinear2d_aa(image.unsqueeze(0).to(at::kFloat), {side, side},
                                                  /*align_corners=*/false);
  return scaled.squeeze(0).round_().clamp_(0, 255).to(at::kByte);
}

}  // namespace

LabelledImages read_image_folder(const std::filesystem::path& folder, int64_t side,
                                 const std::vector<std::string>& names) {
  if (!std::filesystem::is_directory(folder)) fail("there is no folder of images '{}'", folder.string());
  LabelledImages images;
  std::vector<at::Tensor> pixels;
  for (const auto& of_class : sorted_entries(folder, /*folders=*/true)) {
    const auto files = sorted_entries(of_class, /*folders=*/false);
    if (files.empty()) continue;
    images.label_names.push_back(of_class.filename().string());
    for (const auto& file : files) {
      pixels.push_back(resized(read_image(file), side));
      if (pixels.back().sizes() != pixels.front().sizes())
        fail("{}: expected {} x {} pixels as the images before, found {} x {}; choose a size for all",
             file.string(), pixels.front().size(1), pixels.front().size(2), pixels.back().size(1),
             pixels.back().size(2));
      images.labels.push_back(static_cast<int64_t>(images.label_names.size()) - 1);
    }
  }
  if (pixels.empty()) fail("{}: expected a folder of .jpg or .png files for each class", folder.string());
  if (!names.empty() && images.label_names != names)
    fail("{}: expected the classes [{}], found [{}]", folder.string(), fmt::join(names, ", "),
         fmt::join(images.label_names, ", "));
  images.pixels = at::stack(pixels);
  return images;
}

}  // namespace formwork
