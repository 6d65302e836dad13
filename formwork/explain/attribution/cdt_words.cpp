// Probe `cdt_words`: what each word of a row contributes to the model's answer, by contextual decomposition.
#include "formwork/explain/attribution/token_contributions.h"
#include "formwork/explain/attribution/words.h"
#include "formwork/explain/probe.h"

namespace formwork {
namespace {

struct CdtWordsOptions {
  SplitRules rules;
  int64_t level = 0, skip = 1, chunk = 0, label = -1, foil = -1;
  bool merge = true;
  Json sources = Json::array();

  CdtWordsOptions() { rules.sign_repair = "all"; }
  void describe(Fields& f) {
    rules.describe(f);
    f.integer("level", level, "the layer at whose input tokens are split off", 0, 1 << 20);
    f.integer("skip", skip, "tokens of a source: disjoint blocks", 1, 1 << 20);
    f.flag("merge", merge, "with blocks of one token: pieces of a word are shown together, as their sum");
    f.json("sources", sources, "[[places]] of tokens to score instead, each list as one source");
    f.integer("label", label, "token or class; -1: the model's choice", -1, int64_t{1} << 40);
    f.integer("foil", foil, "what it is compared with; -1: the greatest other", -1, int64_t{1} << 40);
    f.integer("chunk", chunk, "sources of a pass; 0: 64", 0, 1 << 20);
  }
};

std::vector<Places> places_of(const Json& list) {
  std::vector<Places> sources;
  const auto wrong = [](const Json& found) {
    fail("cdt_words: option 'sources' expects [[places]] of integers, found {}", found.dump());
  };
  if (!list.is_array()) wrong(list);
  for (const auto& source : list) {
    if (!source.is_array()) wrong(source);
    for (const auto& place : source)
      if (!place.is_number_integer()) wrong(source);
    sources.push_back(source.get<Places>());
  }
  return sources;
}

class CdtWords final : public Probe {
 public:
  using Options = CdtWordsOptions;
  explicit CdtWords(const Options& options) : options_(options), sources_(places_of(options.sources)) {}
  Json run(Model& model, const std::vector<Record>& batches) const override;
  void draw(Page& page, const Json& report) const override;

 private:
  TokenOptions token_options() const {
    TokenOptions chosen;
    chosen.rules = options_.rules, chosen.level = options_.level;
    if (options_.chunk) chosen.chunk = options_.chunk;
    if (options_.label >= 0) chosen.label = options_.label;
    if (options_.foil >= 0) chosen.foil = options_.foil;
    return chosen;
  }
  std::vector<Places> sources_of_row(const Record& batch, int64_t row, int64_t tokens, Json& warnings) const;
  void add_row(Model& model, const Record& batch, int64_t row, const TokenNames& names, Json& report) const;

  Options options_;
  std::vector<Places> sources_;  // in the caller's places; empty: blocks
};

int64_t token_count(Model& model, const Record& row) {
  auto ctx = model.make_context();
  return model.start(ctx, row).begin()->second.x.size(1);
}

// Places among real tokens. Padding contributes nothing, so a source there says nothing.
std::vector<Places> CdtWords::sources_of_row(const Record& batch, int64_t row, int64_t tokens,
                                             Json& warnings) const {
  if (sources_.empty()) return blocks_of(tokens, options_.skip);
  const auto real = real_places(batch, row);
  if (real.empty()) return sources_;
  const auto mask = batch.at("attention_mask");
  std::vector<Places> chosen;
  for (const auto& source : sources_) {
    chosen.emplace_back();
    for (const int64_t place : source) {
      const auto found = std::find(real.begin(), real.end(), place);
      if (found != real.end())
        chosen.back().push_back(found - real.begin());
      else if (place < 0 || place >= mask.size(1))
        fail("source: expected tokens from 0 to {}, found {}", mask.size(1) - 1, place);
      else
        warnings.push_back(
            {{"warning", fmt::format("place {} of row {} of its batch is padding, which contributes nothing",
                                     place, row)}});
    }
  }
  return chosen;
}

void CdtWords::add_row(Model& model, const Record& batch, int64_t row, const TokenNames& names,
                       Json& report) const {
  const auto one = real_row(batch, row);
  const auto sources = sources_of_row(batch, row, token_count(model, one), report["warnings"]);
  const auto found = token_contributions(model, one, sources, token_options());
  const auto number = report["answers"].size();
  report["answers"].push_back({{"row", number},
                               {"label", found.label},
                               {"label name", names.answer(found.label)},
                               {"foil", found.foil},
                               {"foil name", names.answer(found.foil)},
                               {"logit difference", found.difference},
                               {"greatest error", found.error}});
  const auto ids = one.find("input_ids");
  std::vector<int64_t> tokens;
  if (ids != one.end()) {
    const auto flat = ids->second.flatten().to(at::kCPU, at::kLong).contiguous();
    tokens.assign(flat.const_data_ptr<int64_t>(), flat.const_data_ptr<int64_t>() + flat.numel());
  }
  const auto add = [&](const Places& places, const std::string& text, double score) {
    report["words"].push_back(
        {{"row", number}, {"place", places.empty() ? -1 : places[0]}, {"text", text}, {"score", score}});
  };
  if (options_.merge && options_.skip == 1 && sources_.empty() && !tokens.empty()) {
    for (const auto& word : names.words(tokens)) {
      double sum = 0;
      for (const int64_t place : word.places) sum += found.scores[static_cast<size_t>(place)];
      add(word.places, word.text, sum);
    }
    return;
  }
  for (size_t n = 0; n < sources.size(); ++n) {
    std::string text;
    for (const int64_t place : sources[n])
      text += (text.empty() ? "" : " ") +
              (tokens.empty() ? std::to_string(place) : names.name(tokens[static_cast<size_t>(place)]));
    add(sources[n], text, found.scores[n]);
  }
}

Json CdtWords::run(Model& model, const std::vector<Record>& batches) const {
  if (batches.empty()) fail("cdt_words: no data was given");
  const TokenNames names(model.spec().meta);
  Json report = {
      {"rows", 0}, {"answers", Json::array()}, {"words", Json::array()}, {"warnings", Json::array()}};
  for (const auto& batch : batches)
    for (int64_t row = 0; row < batch.begin()->second.size(0); ++row)
      add_row(model, batch, row, names, report);
  report["rows"] = report["answers"].size();
  if (report["warnings"].empty()) report.erase("warnings");
  return report;
}

constexpr int64_t kWordsOfLine = 12;

void CdtWords::draw(Page& page, const Json& report) const {
  std::vector<Chart> charts;
  for (const auto& answer : report["answers"]) {
    Table words({{"column"}, {"line"}, {"text"}, {"score", "", ".3g"}});
    for (const auto& word : report["words"]) {
      if (word["row"] != answer["row"]) continue;
      auto cell = word;
      const auto count = static_cast<int64_t>(words.rows().size());
      cell["line"] = count / kWordsOfLine + 1, cell["column"] = count % kWordsOfLine + 1;
      words.add(cell);
    }
    HeatOptions heat;
    heat.title = fmt::format("Row {}: {} against {}, {:.3g} apart", answer["row"].get<int64_t>(),
                             answer["label name"].get<std::string>(), answer["foil name"].get<std::string>(),
                             answer["logit difference"].get<double>());
    heat.x = "column", heat.y = "line", heat.value = "score", heat.label = "text";
    heat.caption = options_.rules.sign_repair == "none"
                       ? "Blue words speak for the label, red ones for the foil."
                       : "Blue words speak for the label, red ones for the foil. With sign repair the scores "
                         "of words do "
                         "not add up to that of all of them.";
    charts.push_back(heat_chart(words, heat));
  }
  page.charts(charts, "What each word contributes");
}

FORMWORK_PART(Probe, CdtWords, "cdt_words",
              "what each word contributes to the answer, by contextual decomposition (CD-T)");

}  // namespace
}  // namespace formwork
