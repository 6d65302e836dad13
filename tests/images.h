// Folders of images for tests.
#pragma once
#include <png.h>

#include <filesystem>
#include <string>

#include "formwork/core/error.h"

namespace formwork {

// `count` images of side x side pixels in two classes, each of a grey of its own.
inline void write_images(const std::filesystem::path& folder, int count, int side) {
  for (int i = 0; i < count; ++i) {
    const auto of_class = folder / (i % 2 ? "odd" : "even");
    std::filesystem::create_directories(of_class);
    const std::string pixels(static_cast<size_t>(side * side), static_cast<char>(5 * i));
    png_image image{};
    image.version = PNG_IMAGE_VERSION, image.format = PNG_FORMAT_GRAY;
    image.width = image.height = static_cast<png_uint_32>(side);
    const auto path = of_class / fmt::format("{:02}.png", i);
    if (!png_image_write_to_file(&image, path.c_str(), 0, pixels.data(), 0, nullptr))
      fail("cannot write '{}': {}", path.string(), image.message);
  }
}

}  // namespace formwork
