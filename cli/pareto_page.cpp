#include "pareto_page.h"

#include "formwork/transforms/compare/candidates.h"

namespace formwork::cli {
namespace {

constexpr double kMega = 1e6;

// What a row of a comparison shows.
Json shown(const Json& row) {
  Json made = row;
  made["options"] = options_text(row.at("options"));
  made["label"] = candidate_text({row.at("method"), row.at("options"), row.at("recovered").get<int64_t>()});
  made["training"] = row.at("recovered") == 0 ? "none" : "recovered";
  for (const auto& [from, to] : {std::pair("bytes", "size"), std::pair("peak bytes", "peak memory"),
                                 std::pair("flops/token", "Mflop/token")})
    if (row.contains(from)) made[to] = row[from].get<double>() / kMega;
  return made;
}

struct View {
  const char* title;
  const char* x;
  Better x_better;
  const char* y;
};

bool spans(const Table& table, const std::string& name, double ratio) {
  double low = 1e300, high = 0;
  for (const auto& row : table.rows()) {
    if (!row.contains(name)) continue;
    low = std::min(low, row[name].get<double>());
    high = std::max(high, row[name].get<double>());
  }
  return low > 0 && high > ratio * low;
}

Chart chart_of(const Table& table, const View& view) {
  ScatterOptions options;
  options.title = view.title;
  options.x = view.x, options.y = view.y;
  options.colour = "method", options.label = "label";
  for (const auto& column : table.columns())
    if (column.name != "label" && column.name != "training") options.tooltip.push_back(column.name);
  options.front = pareto_front(table.rows(), view.x, view.x_better, view.y, Better::smaller);
  options.log_x = spans(table, view.x, 3), options.log_y = spans(table, view.y, 3);
  for (size_t i = 0; i < table.rows().size(); ++i) {
    const auto& row = table.rows()[i];
    if (row["method"] == kOriginal && row["recovered"] == 0) options.marked.push_back(i);
    if (row["recovered"] != 0) options.shape = "training";
  }
  options.caption =
      "The dashed line is the Pareto front: no model is better in one and as good in the other.";
  return scatter_chart(table, options);
}

std::vector<Chart> charts_of(const Table& points) {
  const View views[] = {{"Loss and bytes on disk", "size", Better::smaller, "loss"},
                        {"Loss and decode speed", "decode tokens/s", Better::larger, "loss"},
                        {"Loss and prefill speed", "prefill tokens/s", Better::larger, "loss"},
                        {"Loss and peak memory", "peak memory", Better::smaller, "loss"},
                        {"Loss and operations a token", "Mflop/token", Better::smaller, "loss"},
                        {"Divergence from the original and bytes on disk", "size", Better::smaller, "kl"}};
  std::vector<Chart> charts;
  for (const auto& view : views) {
    const auto measured = [&](const Json& row) { return row.contains(view.x) && row[view.x].is_number(); };
    if (std::any_of(points.rows().begin(), points.rows().end(), measured))
      charts.push_back(chart_of(points, view));
  }
  return charts;
}

std::vector<Column> columns() {
  return {{"method"},
          {"options"},
          {"recovered", "steps"},
          {"front"},
          {"size", "MB", ".3f"},
          {"loss", "nats", ".4f"},
          {"kl", "nats", ".4f"},
          {"kl error", "", ".4f"},
          {"top-1", "", ".3f"},
          {"top-1 error", "", ".3f"},
          {"prefill tokens/s", "", ".0f"},
          {"decode tokens/s", "", ".0f"},
          {"peak memory", "MB", ".1f"},
          {"Mflop/token", "", ".3f"},
          {"budget"},
          {"asked", "", ".3g"},
          {"reached", "", ".3f"}};
}

// The rows that were measured, under `columns`.
Table measured(const std::vector<Json>& rows, std::vector<Column> columns) {
  Table table(std::move(columns));
  for (const auto& row : rows)
    if (!row.contains("reason")) table.add(shown(row));
  return table;
}

}  // namespace

Table comparison_table(const std::vector<Json>& rows) { return measured(rows, columns()); }

Table refusal_table(const std::vector<Json>& rows) {
  Table table({{"method"}, {"options"}, {"recovered", "steps"}, {"reason"}});
  for (const auto& row : rows)
    if (row.contains("reason")) table.add(shown(row));
  return table;
}

Table warning_table(const std::vector<Json>& rows) {
  Table table({{"method"}, {"options"}, {"warning"}});
  for (const auto& row : rows) {
    if (row.value("recovered", 0) > 0) continue;  // those of its method, once
    for (const auto& warning : row.value("warnings", Json::array())) {
      auto line = shown(row);
      line["warning"] = warning;
      table.add(line);
    }
  }
  return table;
}

Page comparison_page(const std::string& model, const std::vector<Json>& rows, const Json& settings) {
  auto with_labels = columns();
  with_labels.push_back({"label"});
  with_labels.push_back({"training"});
  Page page("Compression of " + model);
  page.charts(charts_of(measured(rows, with_labels)), "What each method costs and gives");
  page.table(comparison_table(rows), "Every model");
  page.text(
      "kl is the mean Kullback-Leibler divergence KL(original || model) and top-1 the share of targets on "
      "whose "
      "most probable class both agree, each with its standard error over samples. Speeds and peak memory are "
      "medians over rounds in which all models take turns; peak memory is what loading and running a model "
      "adds "
      "to the program. budget is the method's own measure of what it was asked to do and what it did.");
  const auto warnings = warning_table(rows);
  if (!warnings.rows().empty()) page.table(warnings, "What methods warn of");
  const auto refused = refusal_table(rows);
  if (!refused.rows().empty())
    page.folded_table(
        refused, fmt::format("Not applicable to this model: {} rows, with reasons", refused.rows().size()));
  page.settings(settings);
  return page;
}

}  // namespace formwork::cli
