// Labelled images: a folder with a folder of image files for each class (the layout that torchvision calls
// ImageFolder).
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace formwork {

struct LabelledImages {
  at::Tensor pixels;                     // [N, 3, H, W] uint8, class by class, each by file name
  std::vector<int64_t> labels;           // index into label_names
  std::vector<std::string> label_names;  // the folders' names, sorted
};

// Reads every image into memory. `side` > 0: images are resized to side x side (bilinear, antialiased);
// 0: all must have the size of the first. `names`: classes of another folder, which must then be these;
// empty: those that are found. Throws Error for a folder without images, for other classes, and for images of
// other sizes, naming the file.
LabelledImages read_image_folder(const std::filesystem::path& folder, int64_t side,
                                 const std::vector<std::string>& names = {});

}  // namespace formwork
