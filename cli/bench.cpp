// formwork bench KIND: time and memory of registered parts over the number of tokens.
#include <ATen/Parallel.h>

#include <chrono>
#include <numeric>

#include "command.h"
#include "formwork/core/random.h"
#include "formwork/report/tensor_peak.h"

namespace formwork::cli::bench_command {
namespace {

struct BenchOptions {
  std::string parts;
  std::vector<double> lengths = {128, 256, 512, 1024};
  int64_t width = 64, batch = 1, repeats = 5, seed = 0;
  void describe(Fields& f) {
    f.text("parts", parts,
           "names, or parts as a JSON array; empty: every part of the kind with its defaults");
    f.numbers("lengths", lengths, "tokens of a row, as a JSON array");
    f.integer("width", width, "channels", 1, 1 << 16);
    f.integer("batch", batch, "rows", 1, 1 << 16);
    f.integer("repeats", repeats, "runs of each, of which the median counts", 1, 1000);
    f.integer("seed", seed, "of weights and inputs");
  }
};

struct Arguments {
  std::string kind = "mixers";
  Json options = Json::object();
  bool json = false;
};

// Kinds that a model of a single part runs.
const std::vector<std::string> kKinds = {"mixers", "channels", "norms", "activations", "positions", "wiring"};

// "a,b" or [{"type": "a", ...}, "b"].
std::vector<PartSpec> find_parts(const std::string& kind, const std::string& text) {
  std::vector<PartSpec> parts;
  const auto known = names_of_kind(kind);
  if (const auto json = Json::parse(text, nullptr, false); json.is_array()) {
    for (const auto& part : json) parts.push_back(PartSpec::from_json(part, "bench: parts"));
  } else if (text.empty()) {
    for (const auto& name : known) parts.emplace_back(name);
  } else {
    for (size_t start = 0; start <= text.size();) {
      const size_t end = std::min(text.find(',', start), text.size());
      parts.emplace_back(text.substr(start, end - start));
      start = end + 1;
    }
  }
  for (const auto& part : parts)
    if (std::find(known.begin(), known.end(), part.type) == known.end())
      fail_unknown("part of " + kind, part.type, known);
  return parts;
}

std::vector<int64_t> find_lengths(const std::vector<double>& numbers) {
  std::vector<int64_t> lengths;
  for (const double number : numbers) {
    if (!(number >= 1 && number <= 1 << 24) || number != std::floor(number))
      fail("bench: option 'lengths' has {}, expected whole numbers in [1, {}]", number, 1 << 24);
    lengths.push_back(static_cast<int64_t>(number));
  }
  if (lengths.empty()) fail("bench: option 'lengths' is empty");
  return lengths;
}

struct Cost {
  double seconds = 0;
  int64_t bytes = 0;
};

// One run of the part on x [B, T, D]; with `backward`, of the sum of the squares of its output too.
Cost run_once(Model& model, const Tensor& input, bool backward) {
  const at::AutoGradMode gradients(backward);
  auto x = input.detach();
  x.set_requires_grad(backward);
  for (auto& tensor : model.trainable()) tensor.mutable_grad() = Tensor();
  const TensorPeak memory;
  const auto start = std::chrono::steady_clock::now();
  auto ctx = model.make_context();
  ctx.mode.train = backward;
  const auto y = model.forward(ctx, {{"x", x}}).at("y");
  if (backward) y.square().sum().backward();
  Cost cost;
  cost.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  cost.bytes = memory.bytes();
  return cost;
}

Cost measure(Model& model, const Tensor& x, bool backward, int64_t repeats) {
  run_once(model, x, backward);
  std::vector<double> seconds;
  Cost cost;
  for (int64_t i = 0; i < repeats; ++i) {
    const auto once = run_once(model, x, backward);
    seconds.push_back(once.seconds);
    cost.bytes = std::max(cost.bytes, once.bytes);
  }
  std::nth_element(seconds.begin(), seconds.begin() + repeats / 2, seconds.end());
  cost.seconds = seconds[static_cast<size_t>(repeats / 2)];
  return cost;
}

// Slope of log cost over log length by least squares: cost ~ length^slope. Nothing for a single length.
Json growth(const std::vector<Json>& rows, const char* cost) {
  std::vector<double> x, y;
  for (const auto& row : rows)
    if (row.at(cost).get<double>() > 0) {
      x.push_back(std::log(row.at("tokens").get<double>()));
      y.push_back(std::log(row.at(cost).get<double>()));
    }
  if (x.size() < 2) return nullptr;
  const double n = static_cast<double>(x.size());
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / n;
  const double mean_y = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double cross = 0, squares = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    cross += (x[i] - mean_x) * (y[i] - mean_y);
    squares += (x[i] - mean_x) * (x[i] - mean_x);
  }
  return squares > 0 ? Json(cross / squares) : Json(nullptr);
}

std::vector<Json> bench_part(const std::string& kind, const PartSpec& part, const BenchOptions& options,
                             const std::vector<int64_t>& lengths) {
  Spec spec;
  spec.model = PartSpec("part");
  spec.model.options = {{"kind", kind}, {"part", part.to_json()}, {"width", options.width}};
  auto model = build_model(spec, static_cast<uint64_t>(options.seed));
  std::vector<Json> rows;
  for (const int64_t length : lengths) {
    auto stream = make_stream(static_cast<uint64_t>(options.seed), "bench", static_cast<uint64_t>(length));
    const auto x = at::empty({options.batch, length, options.width}).normal_(0, 1, stream);
    const auto forward = measure(*model, x, false, options.repeats);
    const auto both = measure(*model, x, true, options.repeats);
    rows.push_back({{"part", part.type},
                    {"tokens", length},
                    {"forward ms", 1e3 * forward.seconds},
                    {"forward+backward ms", 1e3 * both.seconds},
                    {"forward bytes", forward.bytes},
                    {"forward+backward bytes", both.bytes}});
  }
  for (const char* cost : {"forward ms", "forward+backward ms", "forward+backward bytes"}) {
    const auto slope = growth(rows, cost);
    for (auto& row : rows) row[fmt::format("growth of {}", cost)] = slope;
  }
  return rows;
}

Table bench_table() {
  return Table({{"part"},
                {"tokens", "", "d"},
                {"forward ms", "", ".3f"},
                {"forward+backward ms", "", ".3f"},
                {"forward bytes", "", "d"},
                {"forward+backward bytes", "", "d"},
                {"growth of forward ms", "", ".2f"},
                {"growth of forward+backward ms", "", ".2f"},
                {"growth of forward+backward bytes", "", ".2f"},
                {"reason"}});
}

void run(const Arguments& arguments) {
  if (std::find(kKinds.begin(), kKinds.end(), arguments.kind) == kKinds.end())
    fail_unknown("kind to measure", arguments.kind, kKinds);
  const auto options = parse_options<BenchOptions>(arguments.options, "bench");
  const auto lengths = find_lengths(options.lengths);
  Json settings = options_json(options);
  settings["kind"] = arguments.kind;
  settings["threads"] = at::get_num_threads();
  Table table = bench_table();
  for (const auto& part : find_parts(arguments.kind, options.parts)) {
    std::vector<Json> rows;
    try {
      rows = bench_part(arguments.kind, part, options, lengths);
    } catch (const Error& error) {
      rows = {{{"part", part.type}, {"reason", error.what()}}};
    }
    for (auto& row : rows) {
      row["settings"] = settings;
      table.add(std::move(row));
    }
  }
  print(table, arguments.json);
}

void add(CLI::App& app) {
  auto arguments = std::make_shared<Arguments>();
  auto* command = app.add_subcommand("bench", "time and memory of registered parts over lengths");
  offer(command->add_option("kind", arguments->kind, fmt::format("one of {}", fmt::join(kKinds, ", "))),
        kKinds)
      ->capture_default_str();
  add_options<BenchOptions>(*command, arguments->options);
  add_json_flag(*command, arguments->json);
  command->footer(
      "Example:  formwork bench mixers --lengths '[256, 512, 1024]' --parts attention,mamba\n"
      "A cost that grows with length to the power 1 is linear, 2 quadratic.");
  command->callback([arguments] { run(*arguments); });
}

FORMWORK_COMMAND(add);

}  // namespace
}  // namespace formwork::cli::bench_command
