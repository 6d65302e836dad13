// What the commands print: tables as JSON, settings in force, help, version, completion.
#include "cli/program.h"
#include "images.h"

namespace formwork {
namespace {

TEST(Commands, EveryTableIsAnArrayWithOneObjectARow) {
  const TemporaryFolder folder;
  const auto model = (folder / "model").string();
  make_copy_model(model);
  const std::vector<std::vector<std::string>> tables = {
      {"list", "mixers"},
      {"list", "mixers", "attention"},
      {"show", "tiny-decoder"},
      {"show", "tiny-decoder", "--axes"},
      {"show", "tiny-decoder", "--taps"},
      {"systems", "--family", "compress"},
      {"find", "mamba"},
      {"eval", model, "--task", "copy"},
      {"explain", model, "outlier_features", "--task", "copy"},
      {"explain", model, "cdt_words", "--task", "copy", "--rows", "2"},
      {"compress", model, "magnitude", "--out", (folder / "small").string()},
      {"distil", model, "mohawk", "--task", "copy", "--set", "tokens=[64,64,64]", "--set", "batch=2",
       "--quiet"},
      {"bench", "norms", "--lengths", "[4, 8]", "--repeats", "1"}};
  for (const auto& table : tables) {
    SCOPED_TRACE(fmt::format("{}", fmt::join(table, " ")));
    const auto rows = json_of(table);
    ASSERT_TRUE(rows.is_array());
    ASSERT_FALSE(rows.empty());
    for (const auto& row : rows) EXPECT_TRUE(row.is_object());
    EXPECT_GT(lines_in(output_of(table)), 2) << "a heading, a rule and a row";
  }
}

TEST(Commands, ResultsHaveTheSettingsInForce) {
  const TemporaryFolder folder;
  const auto model = (folder / "model").string(), small = (folder / "small").string();
  make_copy_model(model);
  const auto trained = Json::parse(read_file(model + "/result.json")).at("settings");
  EXPECT_EQ(trained.at("steps"), 2);
  EXPECT_EQ(trained.at("optimizer").at("type"), "adamw");
  EXPECT_EQ(trained.at("task").at("type"), "copy");
  const auto evaluated = json_of({"eval", model, "--task", "copy", "--samples", "5"})[0];
  EXPECT_EQ(evaluated.at("samples"), 5);
  EXPECT_EQ(evaluated.at("settings").at("samples"), 5);
  EXPECT_EQ(evaluated.at("settings").at("task").at("type"), "copy");
  EXPECT_TRUE(evaluated.at("settings").at("task").contains("evaluation_samples"));
  const auto row =
      json_of({"compress", model, "slicegpt", "--task", "copy", "--rows", "8", "--out", small})[0];
  EXPECT_EQ(row.at("settings").at("options").at("sparsity"), 0.25);
  EXPECT_EQ(row.at("settings").at("rows"), 8);
  EXPECT_EQ(row.at("report").at("positions").size(), 9u) << "before each of 8 sub-blocks, and the head";
  EXPECT_EQ(Json::parse(read_file(small + "/compression.json")), row);
  EXPECT_LT(row.at("parameters").get<int64_t>(), row.at("parameters before").get<int64_t>());
}

// A circuit of prompts from a file needs no rows of a task, and its page shows it.
TEST(Commands, ExplainWritesAPage) {
  const TemporaryFolder folder;
  const auto model = (folder / "model").string(), prompts = (folder / "prompts.json").string(),
             page = (folder / "page.html").string();
  make_copy_model(model);
  write_atomically(prompts, R"({"prompts": [{"tokens": [1, 2, 3], "answer": 4, "foil": 5}],
                                "reference": [[3, 2, 1], [2, 2, 1]]})");
  const auto row =
      json_of({"explain", model, "cdt_circuit", "--set", "prompts=" + prompts, "--report", page})[0];
  EXPECT_EQ(row.at("report").at("prompts"), 1);
  EXPECT_EQ(row.at("settings").at("options").at("keep_per_round"), 2);
  EXPECT_FALSE(row.at("settings").contains("rows"));
  const auto html = read_file(page);
  EXPECT_NE(html.find("layer.head@position"), std::string::npos);
  EXPECT_NE(html.find("logits"), std::string::npos);
}

TEST(Commands, ListHasWhatTheKindsPromise) {
  for (const char* kind : {"mixers", "channels", "norms", "positions", "wiring", "linear", "models",
                           "transforms", "decode", "probes", "tasks", "studies"})
    EXPECT_FALSE(json_of({"list", kind}).empty()) << kind;
  const auto options = json_of({"list", "decode", "sample"});
  ASSERT_EQ(options[0].at("option"), "temperature");
  EXPECT_EQ(options[0].at("default"), "1.0");
  EXPECT_EQ(output_of({"list", "decode", "greedy"}),
            "greedy: the most probable token at each step; no options\n");
}

TEST(Commands, CompressSaysWhatItWarnsOf) {
  const TemporaryFolder folder;
  const auto model = (folder / "model").string(), small = (folder / "small").string();
  make_copy_model(model);
  const auto errors = [&](std::vector<std::string> method) {
    std::vector<std::string> command = {"compress", model, "--out", small};
    command.insert(command.begin() + 2, method.begin(), method.end());
    const auto result = run_program(command);
    EXPECT_EQ(result.exit_code, 0) << result.error;
    return result.error;
  };
  EXPECT_EQ(errors({"greenformers"}),
            "formwork: warning: solver 'random' forgets the weights: train the result, or choose svd\n");
  EXPECT_EQ(errors({"greenformers", "--set", "solver=svd"}), "");
  const std::vector<std::string> few_rows = {"lord",   "--set", "allocation=uniform", "--task", "copy",
                                             "--rows", "1"};
  const auto few = errors(few_rows);
  EXPECT_EQ(lines_in(few), 3) << "a line for each width of outputs";
  EXPECT_NE(few.find("and 5 more: 11 calibration tokens for"), std::string::npos) << few;
  // Map by map there are many.
  auto one_by_one = few_rows;
  one_by_one.insert(one_by_one.begin() + 1, {"--set", "order=sequential"});
  const auto many = errors(one_by_one);
  EXPECT_EQ(lines_in(many), 5);
  const auto warnings = Json::parse(read_file(small + "/compression.json")).at("warnings");
  EXPECT_NE(many.find(fmt::format("{} more warnings in compression.json", warnings.size() - 4)),
            std::string::npos)
      << many;
}

TEST(Commands, HelpHasAnExampleForEveryCommandAndGroupsThem) {
  const auto help = output_of({"--help"});
  size_t last = 0;
  for (const char* group : {"Make and use models:", "Exchange models:", "Make models smaller:",
                            "Teach models:", "Look inside:", "Look up:", "Measure:"}) {
    ASSERT_NE(help.find(group), std::string::npos) << group;
    EXPECT_GT(help.find(group), last) << group;
    last = help.find(group);
  }
  for (const char* command :
       {"train", "eval", "generate", "explain", "compress", "pareto", "distil", "list", "show", "forward",
        "find", "systems", "reproduce", "bench", "completion", "import", "export"}) {
    EXPECT_NE(help.find(std::string("\n  ") + command + " "), std::string::npos) << command;
    const auto own = output_of({command, "--help"});
    EXPECT_NE(own.find("Example:  "), std::string::npos) << command;
    EXPECT_NE(own.find(command, own.find("Example:  ")), std::string::npos) << command;
  }
  EXPECT_TRUE(output_of({"--version"}).starts_with("formwork 0."));
}

TEST(Commands, DistilStopsAndGoesOn) {
  const TemporaryFolder folder;
  const auto model = (folder / "model").string(), student = (folder / "student").string();
  make_copy_model(model);
  std::vector<std::string> command = {
      "distil",  model,      "mohawk", "--task", "copy", "--set", "batch=2", "--set", "tokens=[100,100,100]",
      "--quiet", "--folder", student};
  auto first = command;
  first.insert(first.end(), {"--stop_after", "2"});
  output_of(first);
  EXPECT_FALSE(std::filesystem::exists(student + "/model.safetensors"));
  command.push_back("--resume");
  const auto rows = json_of(command);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].at("stage"), "matrices");
  EXPECT_EQ(json_of({"eval", student, "--task", "copy", "--samples", "5"})[0].at("samples"), 5);
}

TEST(Commands, BenchMeasuresTimeMemoryAndGrowth) {
  const auto rows = json_of({"bench", "mixers", "--parts", "attention,average_past", "--lengths",
                             "[64, 128, 256]", "--repeats", "3", "--width", "32"});
  ASSERT_EQ(rows.size(), 6u);
  for (const auto& row : rows) {
    EXPECT_GT(row.at("forward ms").get<double>(), 0);
    // At least the output is there: T x 32 floats.
    EXPECT_GE(row.at("forward bytes").get<int64_t>(), row.at("tokens").get<int64_t>() * 32 * 4);
    EXPECT_GT(row.at("forward+backward bytes").get<int64_t>(), row.at("forward bytes").get<int64_t>());
  }
  // Memory is counted, not timed: the running mean's grows with the length itself.
  EXPECT_NEAR(rows[3].at("growth of forward+backward bytes").get<double>(), 1, 0.1);
  const auto refused = json_of({"bench", "mixers", "--parts", R"([{"type": "attention", "heads": 3}])"});
  EXPECT_NE(refused[0].at("reason").get<std::string>().find("3"), std::string::npos);
}

// What bash would offer for the last of `words`.
std::string completed(const std::vector<std::string>& words) {
  std::string line;
  for (const auto& word : words) line += " '" + word + "'";
  const auto script = fmt::format(
      "source <({} completion bash); COMP_WORDS=({}); COMP_CWORD={}; _formwork; printf '%s\\n' "
      "\"${{COMPREPLY[@]}}\"",
      program(), line, words.size() - 1);
  const auto result = run_child({"bash", "-c", script});
  EXPECT_EQ(result.error, "");
  return "\n" + result.output;
}

bool offers(const std::string& reply, const std::string& word) {
  return reply.find("\n" + word + "\n") != std::string::npos;
}

TEST(Completion, BashOffersCommandsOptionsAndRegisteredNames) {
  EXPECT_TRUE(offers(completed({"formwork", "tr"}), "train"));
  EXPECT_FALSE(offers(completed({"formwork", "tr"}), "eval"));
  EXPECT_TRUE(offers(completed({"formwork", "list", "mi"}), "mixers"));
  EXPECT_FALSE(offers(completed({"formwork", "list", ""}), "README.md")) << "kinds are no files";
  EXPECT_TRUE(offers(completed({"formwork", "train", "--ta"}), "--task"));
  EXPECT_TRUE(offers(completed({"formwork", "train", "tiny-decoder", "--task", "ma"}), "masked_lm"));
  EXPECT_TRUE(offers(completed({"formwork", "train", "tiny-decoder", "--optimizer", ""}), "muon"));
  EXPECT_TRUE(offers(completed({"formwork", "train", "ti"}), "tiny-mamba"));
  EXPECT_TRUE(offers(completed({"formwork", "compress", "model", "sl"}), "slicegpt"));
  EXPECT_FALSE(offers(completed({"formwork", "compress", "sl"}), "slicegpt")) << "the model comes first";
  EXPECT_TRUE(offers(completed({"formwork", "compress", "--out", "small", "model", "sl"}), "slicegpt"));
  EXPECT_TRUE(offers(completed({"formwork", "pareto", "model", "--methods", "wa"}), "wanda"));
  EXPECT_TRUE(offers(completed({"formwork", "reproduce", "ll"}), "llm_drop"));
}

TEST(Completion, OtherShellsGetEveryCommandAndOption) {
  for (const char* shell : {"zsh", "fish"}) {
    const auto script = output_of({"completion", shell});
    for (const char* word : {"compress", "slicegpt", "masked_lm", "evaluate_every"})
      EXPECT_NE(script.find(word), std::string::npos) << shell << " " << word;
  }
}

TEST(Train, WarnsOfALoadThatIsConcentratedFromTheStart) {
  const TemporaryFolder folder;
  const auto spec = [&](const std::string& loss) {
    const auto path = (folder / (loss + ".json")).string();
    write_atomically(path, R"({"formwork": 1, "model": {"type": "decoder", "width": 8, "layers": [{"channel":
        {"type": "experts", "hidden": 4, "balance": 0.1, "balance_loss": ")" +
                               loss + "\"}}]}}");
    return path;
  };
  const auto train = [&](const std::string& start) {
    const auto result = run_program({"train", start, "--task", "copy", "--steps", "1", "--batch", "2",
                                     "--quiet", "--folder", (folder / "model").string()});
    EXPECT_EQ(result.exit_code, 0) << result.error;
    std::filesystem::remove_all(folder / "model" / "checkpoints");
    return result.error;
  };
  EXPECT_EQ(train(spec("mi")), "");
  const auto warning = train(spec("concentration"));
  EXPECT_EQ(lines_in(warning), 1) << warning;
  EXPECT_NE(warning.find("formwork: warning: 'layers.0.channel' concentrates the load of a new model"),
            std::string::npos)
      << warning;
  EXPECT_EQ(train((folder / "model").string()), "") << "a trained model may be concentrated";
}

TEST(Train, WarnsOfMapsInCodes) {
  const TemporaryFolder folder;
  const auto model = (folder / "model").string(), codes = (folder / "codes").string();
  make_copy_model(model);
  output_of({"compress", model, "llm_int8", "--out", codes});
  const auto train = [&](const std::string& start) {
    const auto result =
        run_program({"train", start, "--task", "copy", "--steps", "1", "--batch", "2", "--quiet"});
    EXPECT_EQ(result.exit_code, 0) << result.error;
    return result.error;
  };
  EXPECT_EQ(train(model), "");
  const auto warning = train(codes);
  EXPECT_EQ(lines_in(warning), 1) << warning;
  EXPECT_NE(warning.find("maps do not train, since they are kept in codes ('layers.0."), std::string::npos)
      << warning;
  output_of({"compress", codes, "add_lora", "--out", (folder / "adapted").string()});
  EXPECT_EQ(train((folder / "adapted").string()), "");
}

// Data sets of the right form, in the folders where recipes look for them.
void make_data(const std::filesystem::path& root) {
  std::filesystem::create_directories(root / "text");
  std::filesystem::create_directories(root / "nlp");
  std::filesystem::create_directories(root / "code");
  std::string text, reviews, problems;
  for (int i = 0; i < 4000; ++i) text += fmt::format("the {} of {}\n", i * i % 97, i % 31);
  for (int i = 0; i < 60; ++i)
    reviews += fmt::format("a {} film number {}\t{}\n", i % 2 ? "fine" : "dull", i, i % 2);
  for (const char* name : {"tinyshakespeare", "wikitext2-valid"})
    write_atomically(root / fmt::format("text/{}.txt", name), text);
  for (int i = 0; i < 20; ++i)
    problems += Json{{"prompt", fmt::format("def f{}(x):\n", i)},
                     {"canonical_solution", fmt::format("    return x + {}\n", i * i)}}
                    .dump() +
                "\n";
  write_atomically(root / "code/HumanEval.jsonl.gz", problems);  // what is not packed is read as it is
  for (const char* part : {"train", "test"}) write_images(root / "images/cifar10" / part, 100, 32);
  for (const char* part : {"train", "dev"})
    write_atomically(root / fmt::format("nlp/sst2-{}.tsv", part), reviews);
}

std::vector<std::string> reproduce(const std::string& name, const TemporaryFolder& folder) {
  return {"reproduce",
          name,
          "--scale",
          "0.002",
          "--quiet",
          "--cache",
          (folder / "cache").string(),
          "--data-root",
          (folder / "data").string(),
          "--out",
          (folder / "result.json").string()};
}

TEST(Reproduce, EveryRecipeRunsAtASmallScale) {
  const TemporaryFolder folder;
  make_data(folder / "data");
  for (const auto& system : json_of({"systems"})) {
    if (system.at("recipe").is_null()) continue;
    const auto key = system.at("key").get<std::string>();
    SCOPED_TRACE(key);
    const auto rows = json_of(reproduce(key, folder));
    ASSERT_GE(rows.size(), 3u);
    for (const auto& row : rows) EXPECT_FALSE(row.at("published").get<std::string>().empty());
  }
}

TEST(Reproduce, AClaimThatDoesNotHoldIsShownAsSuchAndIsNoError) {
  const TemporaryFolder folder;
  make_data(folder / "data");
  const auto command = reproduce("mamba", folder);
  const auto rows = json_of(command);
  ASSERT_TRUE(rows.is_array());
  // After three updates nothing is copied.
  EXPECT_EQ(rows[0].at("claim"), "accuracy of selective copying");
  EXPECT_LT(rows[0].at("here").get<double>(), 0.9);
  EXPECT_EQ(rows[0].at("holds"), false);
  for (const char* key : {"published", "expected", "seed", "command", "date", "seconds"})
    EXPECT_TRUE(rows[0].contains(key)) << key;
  const auto result = Json::parse(read_file(folder / "result.json"));
  ASSERT_EQ(result.at("claims").size(), rows.size());
  EXPECT_EQ(result.at("claims")[0].at("here"), rows[0].at("here"));
  EXPECT_EQ(result.at("scale"), 0.002);
  // A second run finds every stage in the cache, and measures the same.
  const auto table = output_of(command);
  EXPECT_NE(table.find(" no\n"), std::string::npos) << table;
  const auto again = Json::parse(read_file(folder / "result.json"));
  EXPECT_EQ(again.at("claims"), result.at("claims"));
  for (const auto& stage : again.at("stages")) EXPECT_EQ(stage.at("from cache"), true) << stage.dump();
}

TEST(Reproduce, AReportIsAPageWithTheClaimsAndTheRecipesCharts) {
  const TemporaryFolder folder;
  auto command = reproduce("icl_linear_models", folder);
  command.insert(command.end(), {"--report", (folder / "pages/icl.html").string()});
  const auto rows = json_of(command);
  const auto page = read_file(folder / "pages/icl.html");
  for (const auto& row : rows) {
    const auto claim = row.at("claim").get<std::string>();
    if (claim.find_first_of("<>&'") == std::string::npos)
      EXPECT_NE(page.find(claim), std::string::npos) << claim;
  }
  for (const char* text : {"theory: least squares", "measured: 4 layers", "Claims", "sigma"})
    EXPECT_NE(page.find(text), std::string::npos) << text;
}

TEST(Reproduce, RecordsOnlyFullRunsUnderTheSystemsName) {
  const TemporaryFolder folder;
  const auto refused = [&](const std::vector<std::string>& more, const std::string& part) {
    std::vector<std::string> command = {"reproduce", "slicegpt", "--cache", (folder / "cache").string()};
    command.insert(command.end(), more.begin(), more.end());
    const auto result = run_program(command);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_EQ(lines_in(result.error), 1) << result.error;
    EXPECT_NE(result.error.find(part), std::string::npos) << result.error;
    EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << "nothing is written, no model is trained";
  };
  const auto file = (folder / "slicegpt.json").string();
  refused({"--record", (folder / "slice.json").string()},
          "expects a file 'slicegpt.json', found 'slice.json'");
  refused({"--record", file, "--scale", "0.5"}, "--record expects scale 1, found 0.5");
  refused({"--record", (folder / "no/slicegpt.json").string()}, "there is no folder");
  refused({"--record", file}, "--record: expected a Git checkout");
}

TEST(Systems, AreInTheStateThatTheirRecordedRunShows) {
  for (const auto& row : json_of({"systems"})) {
    if (!row.contains("recorded run")) {
      EXPECT_NE(row.at("state"), "claim") << row.at("key");
      continue;
    }
    const auto& run = row.at("recorded run");
    EXPECT_GE(run.at("claims").size(), run.at("expected").get<size_t>());
    EXPECT_EQ(row.at("claims hold"),
              fmt::format("{} of {}", run.at("held").get<int64_t>(), run.at("expected").get<int64_t>()));
    if (row.at("state") == "claim") EXPECT_EQ(run.at("held"), run.at("expected")) << row.at("key");
  }
}

}  // namespace
}  // namespace formwork
