// Wrong input of every sort ends in exit code 2 and one line on stderr that says what is wrong.
#include "cli/program.h"
#include "formwork/interop/safetensors.h"

namespace formwork {
namespace {

namespace fs = std::filesystem;

// Models that are right, and models that are broken in one way each.
class WrongInput : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = std::make_unique<TemporaryFolder>();
    make_copy_model(*folder_ / "copy");
    write("text.txt", std::string(4000, 'a'));
    output_of({"train", "tiny-decoder", "--data", "file=" + path("text.txt"), "--data", "length=8", "--steps",
               "1", "--batch", "2", "--quiet", "--folder", path("text")});
    break_weights();
    write("broken.json", "{\"formwork\": 1, ");
    write("odd.json", spec(R"({"type": "attention", "heads": 3})"));
    write("unknown.json", spec(R"({"type": "atention"})"));
    write("future.json", R"({"formwork": 99, "model": {"type": "decoder"}})");
    write("key.json", R"({"formwork": 1, "model": {"type": "decoder"}, "liner": {}})");
  }
  static void TearDownTestSuite() { folder_.reset(); }

  static std::string path(const std::string& name) { return (*folder_ / name).string(); }
  static void write(const std::string& name, const std::string& text) { write_atomically(path(name), text); }
  static std::string spec(const std::string& mixer) {
    return R"({"formwork": 1, "model": {"type": "decoder", "width": 64, "layers": [{"mixer": )" + mixer +
           "}]}}";
  }
  static void copy_model(const std::string& name) {
    fs::copy(path("copy"), path(name), fs::copy_options::recursive);
  }

  static void break_weights() {
    for (const char* name : {"truncated", "header", "missing", "unexpected", "shape"}) copy_model(name);
    const auto size = fs::file_size(path("copy/model.safetensors"));
    fs::resize_file(path("truncated/model.safetensors"), size - 100);
    fs::resize_file(path("header/model.safetensors"), 6);
    const auto change = [](const std::string& name, const std::function<void(TensorMap&)>& edit) {
      auto tensors = read_safetensors(path("copy/model.safetensors"));
      edit(tensors);
      write_safetensors(path(name + "/model.safetensors"), tensors);
    };
    change("missing", [](TensorMap& tensors) { tensors.erase(tensors.begin()); });
    change("unexpected", [](TensorMap& tensors) { tensors["stranger"] = at::zeros({2}); });
    change("shape", [](TensorMap& tensors) { tensors.begin()->second = at::zeros({3, 3}); });
  }

  // One line that contains `part`.
  static void refused(const std::vector<std::string>& arguments, const std::string& part,
                      const std::vector<std::string>& before = {}) {
    SCOPED_TRACE(fmt::format("formwork {}", fmt::join(arguments, " ")));
    const auto result = run_program(arguments, before);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(lines_in(result.error), 1) << result.error;
    EXPECT_TRUE(result.error.starts_with("formwork: ")) << result.error;
    EXPECT_NE(result.error.find(part), std::string::npos) << result.error;
    EXPECT_EQ(result.output, "");
  }

  static inline std::unique_ptr<TemporaryFolder> folder_;
};

TEST_F(WrongInput, CommandsAndOptions) {
  refused({}, "subcommand is required");
  refused({"trian"}, "did you mean 'train'?");
  refused({"eval", path("copy"), "--tsak", "copy"}, "did you mean '--task'?");
  refused({"eval"}, "model is required");
  refused({"list", "mixer"}, "unknown kind 'mixer'; did you mean 'mixers'?");
  refused({"systems", "--family", "compres"}, "did you mean 'compress'?");
  refused({"systems", "--state", "done"}, "unknown state 'done'");
  refused({"find", "mambo"}, "did you mean 'mamba'?");
  refused({"completion", "tcsh"}, "unknown shell 'tcsh'");
  refused({"show", "tiny-decoder", "--axes", "--taps"}, "--axes excludes --taps");
}

TEST_F(WrongInput, Numbers) {
  const std::vector<std::string> train = {"train", "tiny-decoder", "--task", "copy", "--quiet"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), train.begin(), train.end());
    return more;
  };
  refused(with({"--steps", "many"}), "option 'steps' must be an integer");
  refused(with({"--steps", "-1"}), "option 'steps' must be an integer in [1");
  refused(with({"--steps", "1.5"}), "option 'steps' must be an integer");
  refused(with({"--rate", "1e9"}), "option 'rate' must be a number in [0, 1000]");
  refused(with({"--precision", "float8"}), "option 'precision' must be one of");
  refused(with({"--data", "max_length=0"}), "option 'max_length' must be an integer in");
  refused({"generate", path("text"), "--prompt", "a", "--tokens", "0"}, "--tokens");
  refused({"generate", path("text")}, "expected a prompt, as --prompt TEXT or as --ids NUMBERS");
  refused({"generate", path("text"), "--prompt", "a", "--ids", "1,2"}, "excludes");
  refused({"generate", path("text"), "--ids", "1,999"}, "token id 999 is outside the vocabulary");
  refused({"export", path("text"), "--out", path("text")}, "expected another folder than the model's own");
  refused({"export", path("text"), "--out", path("exported"), "--dtype", "float31"},
          "did you mean 'float32'?");
  refused({"export", path("text"), "--out", path("exported"), "--family", "lama"}, "did you mean 'llama'?");
  refused({"bench", "--lengths", "[0]"}, "expected whole numbers");
  refused({"compress", path("copy"), "slicegpt", "--task", "copy", "--set", "sparsity=2", "--out", path("x")},
          "option 'sparsity' must be a number in [0");
}

TEST_F(WrongInput, UnknownNames) {
  refused({"eval", path("copy"), "--task", "txt"}, "'txt'; did you mean 'text'?");
  refused({"eval", path("copy"), "--task", "copy", "--data", "max_lenght=3"}, "did you mean 'max_length'?");
  refused({"eval", path("copy"), "--task", "copy", "--data", "length"}, "--data: expected key=value");
  refused({"compress", path("copy"), "slicegp", "--out", path("x")}, "did you mean 'slicegpt'?");
  refused({"compress", path("copy"), "magnitude", "--set", "sparsty=0.1", "--out", path("x")},
          "did you mean 'sparsity'?");
  refused({"train", "tiny-decoder", "--task", "copy", "--optimizer", "adam"}, "did you mean 'adamw'?");
  refused({"generate", path("text"), "--prompt", "a", "--decode", "bean"}, "did you mean 'beam'?");
  refused({"generate", path("text"), "--prompt", "a", "--decode", "beam", "--set", "with=2"},
          "did you mean 'width'?");
  refused({"generate", path("text"), "--prompt", "a", "--stop", "ab"}, "expected the text of one token");
  refused({"explain", path("copy"), "outlier_feature", "--task", "copy"}, "did you mean 'outlier_features'?");
  refused({"explain", path("copy"), "outlier_features", "--set", "axis=residul", "--task", "copy"},
          "did you mean 'residual'?");
  refused({"list", "mixers", "attentoin"}, "did you mean 'attention'?");
  refused({"show", "tiny-decodr"}, "did you mean 'tiny-decoder'?");
  refused({"bench", "mixer"}, "did you mean 'mixers'?");
  refused({"bench", "mixers", "--parts", "mamb"}, "did you mean 'mamba'?");
}

TEST_F(WrongInput, Circuits) {
  const auto circuit = [&](const std::vector<std::string>& settings, const std::string& piece) {
    std::vector<std::string> words = {"explain", path("copy"),   "cdt_circuit", "--task",      "copy",
                                      "--data",  "min_length=4", "--data",      "max_length=4"};
    for (const auto& setting : settings) words.push_back("--set"), words.push_back(setting);
    refused(words, piece);
  };
  circuit({"sources=[[9, 0, 0]]"}, "source [9, 0, 0]: expected a layer from 0 to 3, found 9");
  circuit({"sources=[[0, 99, 0]]"}, "expected a position");
  circuit({"sources=[[0, 0, 7]]"}, "expected a head");
  circuit({"sources=[[2, 1, 0]]", "targets=[[1, 1, 0]]"}, "a source in an earlier layer");
  circuit({"sources=[1]"}, "[[layer, position, head]]");
  circuit({"inject=median"}, "'inject'");
  const auto file = [&](const std::string& text, const std::string& piece) {
    write("prompts.json", text);
    refused({"explain", path("copy"), "cdt_circuit", "--set", "prompts=" + path("prompts.json")}, piece);
  };
  file(R"({"prompts": [{"tokens": [1, 2], "answer": 3, "foil": 3}], "reference": [[1, 2]]})",
       "found 3 for both in prompt 0");
  file(R"({"prompts": [{"tokens": [1, 2], "answer": 3, "foil": 4}]})", "means of a reference set");
  file(R"({"prompts": [{"tokens": [1, 2], "answer": 3, "foil": 4}], "reference": [[1, 2, 3]]})",
       "at the 2 places of the prompts, found 3");
  file(R"({"prompts": [{"tokens": [1, 999], "answer": 3, "foil": 4}], "reference": [[1, 2]]})",
       "token id 999 is outside the vocabulary");
  refused({"explain", path("copy"), "cdt_words", "--task", "copy", "--set", "level=9"}, "split at level 9");
  refused({"explain", path("copy"), "cdt_words", "--task", "copy", "--set", "label=1", "--set", "foil=1"},
          "two that differ");
}

TEST_F(WrongInput, Files) {
  refused({"eval", path("nowhere"), "--task", "copy"}, "nowhere");
  refused({"eval", path("truncated"), "--task", "copy"}, "truncated");
  refused({"eval", path("header"), "--task", "copy"}, "header");
  refused({"eval", path("missing"), "--task", "copy"}, "weights do not fit the Spec: missing ");
  refused({"eval", path("unexpected"), "--task", "copy"}, "unexpected stranger");
  refused({"eval", path("shape"), "--task", "copy"}, "expected shape");
  refused({"eval", path("text"), "--data", "file=" + path("none.txt")}, "none.txt");
  refused({"forward", path("copy"), "--inputs", path("none.safetensors"), "--out", path("y")},
          "none.safetensors");
  refused({"forward", path("copy"), "--inputs", path("copy/model.safetensors"), "--out", path("y")}, "input");
  refused(
      {"forward", path("copy"), "--inputs", path("none.safetensors"), "--dtype", "int8", "--out", path("y")},
      "expected float32 or float64");
}

TEST_F(WrongInput, Specs) {
  refused({"show", path("broken.json")}, "not valid JSON");
  refused({"show", path("odd.json")}, "3");
  write("deep.json",
        R"({"formwork": 1, "meta": )" + std::string(1000000, '[') + std::string(1000000, ']') + "}");
  refused({"show", path("deep.json")}, "nested deeper than 200 levels");
  refused({"show", path("unknown.json")}, "did you mean 'attention'?");
  refused({"show", path("future.json")}, "Spec version 99 is not known");
  refused({"show", path("key.json")}, "did you mean 'linear'?");
}

TEST_F(WrongInput, ModulesAndStates) {
  const auto refused_mixer = [&](const std::string& mixer, const std::string& part) {
    write("mixer.json", spec(mixer));
    refused({"show", path("mixer.json")}, part);
  };
  refused_mixer(R"({"type": "stick_breaking", "modules": 4, "active": 5})",
                "expected 1 to 4 active modules, as many as there are, found 5");
  refused_mixer(R"({"type": "stick_breaking", "modules": 4, "active": 2, "sample_topk": 3})",
                "expected sample_topk up to the 2 active modules, found 3");
  refused_mixer(R"({"type": "stick_breaking", "modules": 4, "balance_loss": "concentration"})",
                "expected balance above 0, found 0");
  refused_mixer(R"({"type": "mamba", "d_conv": 0})", "option 'd_conv' must be an integer in [1");
  refused({"compress", path("copy"), "prune_modules", "--task", "copy", "--out", path("x")},
          "expected a model with routed modules, found none");
  EXPECT_FALSE(fs::exists(path("x")));
}

TEST_F(WrongInput, EightBitsInFloat64) {
  output_of({"compress", path("copy"), "llm_int8", "--out", path("codes")});
  write_safetensors(path("ids.safetensors"), {{"input_ids", at::zeros({1, 3}, at::kLong)}});
  refused({"forward", path("codes"), "--inputs", path("ids.safetensors"), "--dtype", "float64", "--out",
           path("y")},
          "expected float32, since 'layers.0.mixer");
  EXPECT_FALSE(fs::exists(path("y")));
}

TEST_F(WrongInput, AModelOfOtherTokens) {
  refused({"eval", path("text"), "--task", "copy"}, "the model's are those of a tokenizer");
  refused({"eval", path("copy"), "--data", "file=" + path("text.txt")}, "found one whose tokens are");
  refused({"eval", path("copy"), "--task", "dyck"}, "are not the model's");
  refused({"train", path("text"), "--task", "copy", "--steps", "1"}, "the model's are those of a tokenizer");
  refused({"generate", path("copy"), "--prompt", "a b"}, "found one whose tokens are");
}

TEST_F(WrongInput, AModelsOwnFolderAsTheResults) {
  refused({"compress", path("copy"), "magnitude", "--out", path("copy")}, "expected another folder");
}

TEST_F(WrongInput, OptionsWithoutEffect) {
  refused({"compress", path("copy"), "magnitude", "--rows", "8", "--out", path("x")}, "--rows has no effect");
  refused({"compress", path("copy"), "magnitude", "--task", "copy", "--out", path("x")},
          "--task has no effect");
  refused({"generate", path("text"), "--prompt", "a", "--seed", "3"}, "--seed has no effect");
  refused({"train", "tiny-decoder", "--task", "copy", "--keep", "3"}, "--keep has no effect");
  refused({"train", "tiny-decoder", "--task", "copy", "--evaluate_samples", "3"},
          "--evaluate_samples has no effect");
  refused({"train", "tiny-decoder", "--task", "copy", "--resume"}, "nothing to resume");
}

TEST_F(WrongInput, Recipes) {
  refused({"reproduce", "mamb"}, "did you mean 'mamba'?");
  refused({"reproduce", "autoformer"}, "has no recipe yet");
  refused({"reproduce", "slicegpt", "--set", "sparsity=3", "--cache", path("cache")}, "option 'sparsity'");
  refused({"reproduce", "slicegpt", "--cache", path("cache")}, "--data-root or FORMWORK_DATA",
          {"env", "-u", "FORMWORK_DATA"});
  refused({"reproduce", "slicegpt", "--cache", path("cache"), "--data-root", path("nowhere")},
          "there is no data file");
}

}  // namespace
}  // namespace formwork
