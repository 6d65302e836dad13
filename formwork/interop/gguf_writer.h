// Writes GGUF files, version 3: metadata in the order in which they were added, then the tensors in theirs.
// No LibTorch. The file appears whole or not at all.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "formwork/interop/gguf_header.h"

namespace formwork {

// Takes the next bytes of a tensor.
using GgufSink = std::function<void(std::string_view)>;
// Gives all bytes of one tensor to the sink, when their turn in the file has come: no two tensors need be in
// memory at once.
using GgufSource = std::function<void(const GgufSink&)>;

class GgufWriter {
 public:
  // Integers are written in 32 bits where they fit, numbers as f32. Views must last until `write`.
  void add(const std::string& key, const GgufValue& value);
  void add_text(const std::string& key, std::string text);
  void add_strings(const std::string& key, const std::vector<std::string>& values);
  void add_integers(const std::string& key, const std::vector<std::int32_t>& values);
  // `shape` is slowest first; rows must be whole blocks of the type.
  void add_tensor(const std::string& name, const GgufTensorType& type, std::vector<std::int64_t> shape,
                  GgufSource source);
  // Throws Error when a source gives another number of bytes than its shape asks for.
  void write(const std::filesystem::path& path) const;

 private:
  struct Tensor {
    std::string name;
    GgufTensor info;
    GgufSource source;
  };
  std::string metadata_;
  std::uint64_t entries_ = 0;
  std::vector<Tensor> tensors_;
  std::uint64_t data_bytes_ = 0;
};

}  // namespace formwork
