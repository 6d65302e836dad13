#include "formwork/interop/gguf_export.h"

#include <set>

#include "formwork/interop/gguf_architectures.h"
#include "formwork/interop/gguf_form.h"
#include "formwork/interop/gguf_tokenizer_writer.h"
#include "formwork/interop/gguf_writer.h"
#include "formwork/linear/linear_map.h"
#include "formwork/linear/nested.h"
#include "formwork/linear/quantized/ggml_block.h"
#include "formwork/positions/rotary_scaling.h"
#include "formwork/transforms/convert/rotary_layout.h"

namespace formwork {
namespace {

const GgufTensorType& f32() { return *find_gguf_tensor_type("f32"); }

GgufSource bytes_of(Tensor tensor) {
  return [tensor = std::move(tensor)](const GgufSink& sink) {
    const auto plain = tensor.contiguous();
    sink({static_cast<const char*>(plain.const_data_ptr()), plain.nbytes()});
  };
}

// Rows of a map that are one matrix of the file.
struct Matrix {
  std::string name;
  LinearMap* map;
  int64_t first, count;

  Tensor of(const Tensor& all) const { return all.narrow(0, first, count); }
};

class Exporter {
 public:
  Exporter(const std::shared_ptr<Model>& model, std::string type)
      : type_(std::move(type)),
        form_(gguf_form(model->spec())),
        pairs_(gguf_interleaved(form_.architecture) ? Pairs::neighbours : Pairs::halves),
        model_(with_rotary_layout(model, pairs_)),
        inventory_(model_->inventory()) {
    if (!type_.empty() && type_ != "f32") require_ggml_layout(type_, "export: --type");
  }

  std::vector<std::string> write(const std::filesystem::path& path) {
    const at::NoGradGuard guard;
    add_metadata();
    if (const auto note = add_tokenizer(inventory_.spec.meta, writer_); !note.empty()) notes_.insert(note);
    for (auto* map : inventory_.maps)
      if (!enclosing(inventory_.maps, *map)) add_map(*map);
    for (const auto& param : inventory_.params)
      if (param.value.defined() && !done_.contains(param.name)) add_vector(param);
    add_frequencies();
    writer_.write(path);
    return {notes_.begin(), notes_.end()};
  }

 private:
  void add_metadata() {
    writer_.add_text("general.architecture", form_.architecture);
    writer_.add_text("general.type", "model");
    static const std::map<std::string, std::uint64_t> file_types = {{"f32", 0},   {"f16", 1},   {"q4_0", 2},
                                                                    {"q4_1", 3},  {"q8_0", 7},  {"q4_k", 14},
                                                                    {"q5_k", 16}, {"q6_k", 18}, {"bf16", 32}};
    writer_.add("general.file_type", file_types.at(type_.empty() ? "f32" : type_));
    writer_.add("general.quantization_version", std::uint64_t{2});
    Json metadata = form_.metadata;
    // What a file said beyond what the model needs: its context, say.
    const auto before = inventory_.spec.meta.value("gguf", Json::object()).value("metadata", Json::object());
    if (before.contains("context_length") && form_.architecture != "gpt2")
      metadata["context_length"] = before.at("context_length");
    metadata["vocab_size"] = metadata.at("vocab");
    for (const auto& [key, value] : metadata.items()) {
      if (key == "vocab" || key == "tied") continue;
      const auto full = form_.architecture + "." + key;
      if (value.is_number_float())
        writer_.add(full, value.get<double>());
      else
        writer_.add(full, value.get<std::uint64_t>());
    }
  }

  // The map of this path, also one inside another.
  LinearMap* find(const std::string& path) const {
    for (auto* map : inventory_.maps)
      if (map->path() == path) return map;
    return nullptr;
  }

  void add_map(LinearMap& map) {
    for (const auto* param : map.params()) done_.insert(param->name);
    const auto& segments = map.need().out.segments;
    const bool apart = segments.size() > 1 && gguf_name(segment_path(map, 0)) != "" &&
                       !(form_.architecture == "gpt2" && map.path().ends_with(".qkv"));
    if (!apart) return add_matrix({name_of(map.path()), &map, 0, map.out()}, map, 0);
    int64_t first = 0;
    for (size_t i = 0; i < segments.size(); ++i) {
      const int64_t count = Dim::product(segments[i]).size();
      const auto path = segment_path(map, i);
      // A segment with a map of its own is read from that.
      if (auto* own = find(fmt::format("{}.{}", map.path(), i)))
        add_matrix({name_of(path), own, 0, count}, map, first);
      else
        add_matrix({name_of(path), &map, first, count}, map, first);
      first += count;
    }
  }

  // The path under which a segment of a fused map is known.
  static std::string segment_path(const LinearMap& map, size_t segment) {
    static constexpr const char* attention[] = {"query", "key", "value"};
    const auto& path = map.path();
    if (path.ends_with(".qkv") && segment < 3) return path.substr(0, path.size() - 3) + attention[segment];
    return fmt::format("{}.{}", path, segment);
  }

  std::string name_of(const std::string& path) const {
    const auto name = gguf_name(path);
    if (name.empty())
      fail("export: map '{}' has no place in a file of architecture {}", path, form_.architecture);
    return name;
  }

  // `owner` has the bias, of which these rows begin at `first`.
  void add_matrix(const Matrix& matrix, const LinearMap& owner, int64_t first) {
    auto& map = *matrix.map;
    const auto* kept = ggml_format(map);
    const auto* asked = &wanted_type(matrix, kept);
    GgufSource source;
    if (kept && kept->name == std::string_view(asked->name)) {
      const auto& blocks = inventory_.by_name.at(map.path() + ".blocks")->value;
      source = bytes_of(matrix.of(blocks));
    } else {
      source = [matrix, type = asked](const GgufSink& sink) {
        const at::NoGradGuard none;
        const auto values = matrix.of(matrix.map->dense().to(at::kFloat));
        const auto* layout = find_ggml_layout(type->name);
        bytes_of(layout ? ggml_blocks(layout->type, values) : values)(sink);
      };
    }
    writer_.add_tensor(matrix.name + ".weight", *asked, {matrix.count, map.in()}, std::move(source));
    if (!owner.bias()) return;
    writer_.add_tensor(matrix.name + ".bias", f32(), {matrix.count},
                       bytes_of(owner.bias()->value.detach().to(at::kFloat).narrow(0, first, matrix.count)));
  }

  // The type that a matrix gets: the one that was asked for, or what stands in for it.
  const GgufTensorType& wanted_type(const Matrix& matrix, const GgmlLayout* kept) {
    const int64_t width = matrix.map->in();
    if (type_.empty()) return *find_gguf_tensor_type(kept ? kept->name : "f32");
    std::string type = type_;
    const bool is_output =
        matrix.name == "output" || (matrix.name == "token_embd" && form_.metadata.at("tied"));
    if (is_output && (type.starts_with("q4") || type == "q5_k")) type = "q6_k";
    const auto fits = [&] { return width % find_gguf_tensor_type(type)->values == 0; };
    if (!fits()) type = type == "q4_k" ? "q4_1" : "q8_0";
    if (!fits()) type = "f16";
    if (type != type_)
      notes_.insert(fmt::format("{} [., {}]: {} instead of {}{}", kind_of(matrix.name), width, type, type_,
                                is_output ? ", as the output's matrix" : ": rows are no whole blocks"));
    return *find_gguf_tensor_type(type);
  }

  // "blk.3.attn_q" -> "attn_q".
  static std::string kind_of(const std::string& name) { return name.substr(name.rfind('.') + 1); }

  void add_vector(const Param& param) {
    if (param.name.ends_with(".inverse_frequency")) return;
    const auto dot = param.name.rfind('.');
    const auto path = param.name.substr(0, dot), suffix = param.name.substr(dot), name = gguf_name(path);
    if (name.empty() || (suffix != ".weight" && suffix != ".bias"))
      fail("export: parameter '{}' has no place in a file of architecture {}", param.name,
           form_.architecture);
    auto value = param.value.detach().to(at::kFloat);
    if (suffix == ".weight" && name.ends_with("norm")) value = value + form_.norm_offset;
    writer_.add_tensor(name + suffix, f32(), value.sizes().vec(), bytes_of(value));
  }

  // Frequencies other than those that the base gives are kept as factors that divide them.
  void add_frequencies() {
    Tensor factors;
    for (const auto& param : inventory_.params) {
      if (!param.name.ends_with(".inverse_frequency")) continue;
      const int64_t turned = form_.metadata.at("rope.dimension_count");
      const auto plain =
          at::tensor(rotary_frequencies(turned, form_.metadata.at("rope.freq_base")), at::kDouble);
      const auto all = param.value.detach().to(at::kDouble).narrow(0, 0, turned);
      const auto here =
          pairs_ == Pairs::neighbours ? all.slice(0, 0, turned, 2) : all.narrow(0, 0, turned / 2);
      const auto found = plain / here;
      if (factors.defined() && !at::allclose(factors, found))
        fail("export: '{}' differs from the frequencies of other layers, and a file holds one set",
             param.name);
      factors = found;
    }
    if (!factors.defined() || at::allclose(factors, at::ones_like(factors), 1e-5)) return;
    writer_.add_tensor("rope_freqs.weight", f32(), factors.sizes().vec(), bytes_of(factors.to(at::kFloat)));
  }

  std::string type_;
  GgufForm form_;
  Pairs pairs_;  // of queries and keys in the file
  std::shared_ptr<Model> model_;
  const Inventory& inventory_;
  GgufWriter writer_;
  std::set<std::string> done_, notes_;
};

}  // namespace

std::vector<std::string> export_gguf(const std::shared_ptr<Model>& model, const std::filesystem::path& path,
                                     const std::string& type) {
  return Exporter(model, type).write(path);
}

}  // namespace formwork
