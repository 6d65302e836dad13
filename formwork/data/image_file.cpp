#include "formwork/data/image_file.h"

#include <ATen/ATen.h>
// clang-format off
#include <cstdio>  // jpeglib.h needs it
#include <jpeglib.h>
// clang-format on
#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>

#include "formwork/core/error.h"
#include "formwork/core/file.h"

namespace formwork {
namespace {

constexpr int64_t kMostPixels = int64_t{1} << 28;

std::string image_ending(const std::filesystem::path& path) {
  auto ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return ending;
}

at::Tensor rgb_rows(int64_t height, int64_t width, const std::string& where) {
  if (height < 1 || width < 1 || height * width > kMostPixels)
    fail("{}: expected an image of 1 to 2^28 pixels, found {} x {}", where, height, width);
  return at::empty({height, width, 3}, at::kByte);
}

// libjpeg reports an error by a call that must not return.
struct JpegFailure {
  jpeg_error_mgr manager;
  std::jmp_buf back;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void leave_jpeg(j_common_ptr info) {
  auto* failure = reinterpret_cast<JpegFailure*>(info->err);
  info->err->format_message(info, failure->message);
  std::longjmp(failure->back, 1);
}

// Nothing here has a destructor that a jump out of libjpeg would leave out. Two calls: the first, with
// `pixels` null, reads the size; the second the rows. -> whether it went well.
bool decode_jpeg(const std::string& bytes, JpegFailure& failure, unsigned char* pixels, int64_t& height,
                 int64_t& width) {
  jpeg_decompress_struct info;
  info.err = jpeg_std_error(&failure.manager);
  failure.manager.error_exit = leave_jpeg;
  failure.manager.emit_message = [](j_common_ptr, int) {};
  if (setjmp(failure.back)) {
    jpeg_destroy_decompress(&info);
    return false;
  }
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  jpeg_read_header(&info, TRUE);
  height = info.image_height, width = info.image_width;
  if (pixels) {
    info.out_color_space = JCS_RGB;
    jpeg_start_decompress(&info);
    while (info.output_scanline < info.output_height) {
      JSAMPROW row = pixels + static_cast<size_t>(info.output_scanline) * info.output_width * 3;
      jpeg_read_scanlines(&info, &row, 1);
    }
    jpeg_finish_decompress(&info);
  }
  jpeg_destroy_decompress(&info);
  return true;
}

at::Tensor read_jpeg(const std::string& bytes, const std::string& where) {
  JpegFailure failure;
  int64_t height = 0, width = 0;
  if (!decode_jpeg(bytes, failure, nullptr, height, width)) fail("{}: {}", where, failure.message);
  auto pixels = rgb_rows(height, width, where);
  if (!decode_jpeg(bytes, failure, pixels.mutable_data_ptr<uint8_t>(), height, width))
    fail("{}: {}", where, failure.message);
  return pixels;
}

at::Tensor read_png(const std::string& bytes, const std::string& where) {
  png_image image;
  std::memset(&image, 0, sizeof image);
  image.version = PNG_IMAGE_VERSION;
  if (!png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()))
    fail("{}: {}", where, image.message);
  image.format = PNG_FORMAT_RGB;
  at::Tensor pixels;
  try {
    pixels = rgb_rows(image.height, image.width, where);
  } catch (const Error&) {
    png_image_free(&image);
    throw;
  }
  if (!png_image_finish_read(&image, nullptr, pixels.mutable_data_ptr<uint8_t>(), 0, nullptr))
    fail("{}: {}", where, image.message);
  return pixels;
}

}  // namespace

bool is_image_name(const std::filesystem::path& path) {
  const auto ending = image_ending(path);
  return ending == ".jpg" || ending == ".jpeg" || ending == ".png";
}

at::Tensor read_image(const std::filesystem::path& path) {
  const auto bytes = read_file(path.string());
  const auto where = path.string();
  const auto pixels = image_ending(path) == ".png" ? read_png(bytes, where) : read_jpeg(bytes, where);
  return pixels.permute({2, 0, 1}).contiguous();
}

}  // namespace formwork
