// Image files: JPEG and PNG.
#pragma once
#include <ATen/core/Tensor.h>

#include <filesystem>

namespace formwork {

// Whether the name ends in .jpg, .jpeg or .png, in any case.
bool is_image_name(const std::filesystem::path& path);

// The image as RGB, [3, H, W] uint8, whatever its colours; transparency is left out. Throws Error
// "path: ..." for a file that is missing, broken or larger than 2^28 pixels.
at::Tensor read_image(const std::filesystem::path& path);

}  // namespace formwork
