#include "formwork/report/chart.h"

#include <gtest/gtest.h>

#include <set>

#include "formwork/core/error.h"
#include "formwork/report/label_places.h"

namespace formwork {
namespace {

using Json = nlohmann::ordered_json;

std::vector<Json> points(const std::vector<std::pair<double, double>>& values) {
  std::vector<Json> rows;
  for (const auto& [x, y] : values) rows.push_back({{"x", x}, {"y", y}});
  return rows;
}

using Indices = std::vector<size_t>;

TEST(ParetoFront, KeepsWhatNothingBeats) {
  const auto rows = points({{1, 5}, {2, 3}, {2, 4}, {3, 3}, {4, 1}, {1, 5}});
  EXPECT_EQ(pareto_front(rows, "x", Better::smaller, "y", Better::smaller), (Indices{0, 1, 4}));
  EXPECT_EQ(pareto_front(rows, "x", Better::larger, "y", Better::larger), (Indices{0, 2, 3, 4}));
}

// The definition, row by row, on many random sets, for all four directions.
TEST(ParetoFront, AgreesWithTheDefinition) {
  uint32_t seed = 1;
  const auto draw = [&] { return static_cast<double>((seed = seed * 1664525u + 1013904223u) >> 28); };
  for (int trial = 0; trial < 40; ++trial) {
    std::vector<std::pair<double, double>> values(12);
    for (auto& value : values) value = {draw(), draw()};
    for (const Better xb : {Better::smaller, Better::larger}) {
      for (const Better yb : {Better::smaller, Better::larger}) {
        const double sx = xb == Better::smaller ? 1 : -1, sy = yb == Better::smaller ? 1 : -1;
        Indices expected;
        for (size_t i = 0; i < values.size(); ++i) {
          bool beaten = false;
          for (size_t j = 0; j < values.size(); ++j) {
            const double dx = sx * (values[j].first - values[i].first);
            const double dy = sy * (values[j].second - values[i].second);
            beaten = beaten || (dx <= 0 && dy <= 0 && (dx < 0 || dy < 0 || j < i));
          }
          if (!beaten) expected.push_back(i);
        }
        Indices front = pareto_front(points(values), "x", xb, "y", yb);
        EXPECT_TRUE(std::is_sorted(front.begin(), front.end(),
                                   [&](size_t a, size_t b) { return values[a].first < values[b].first; }));
        std::sort(front.begin(), front.end());
        EXPECT_EQ(front, expected);
      }
    }
  }
}

Table sizes() {
  Table table({{"name"}, {"size.bytes[0]", "MB", ".1f"}, {"loss", "nats", ".2f"}, {"family"}});
  table.add({{"name", "a"}, {"size.bytes[0]", 1.26}, {"loss", 2.0}, {"family", "dense"}});
  table.add({{"name", "b"}, {"size.bytes[0]", 0.0}, {"loss", 3.0}, {"family", "sparse"}});
  table.add({{"name", "c"}, {"size.bytes[0]", 4.0}, {"loss", "nan"}, {"family", "dense"}});
  return table;
}

ScatterOptions size_and_loss() {
  return {.title = "t", .x = "size.bytes[0]", .y = "loss", .colour = "family"};
}

TEST(ScatterChart, PlotsFiniteRowsAndShowsColumnTexts) {
  const Chart chart = scatter_chart(sizes(), size_and_loss());
  const Json& data = chart.spec.at("datasets").at("points");
  ASSERT_EQ(data.size(), 2u);
  EXPECT_EQ(data[0].at("t1"), "1.3");
  EXPECT_EQ(data[0].at("group"), "dense");
  const Json& encoding = chart.spec.at("layer")[0].at("encoding");
  EXPECT_EQ(encoding.at("x").at("title"), "size.bytes[0] (MB)");
  EXPECT_EQ(encoding.at("x").at("field"), "x");
  EXPECT_EQ(encoding.at("tooltip").size(), 4u);
}

TEST(ScatterChart, LogarithmicAxesLeaveOutWhatHasNoLogarithm) {
  ScatterOptions options = size_and_loss();
  options.log_x = true;
  EXPECT_EQ(scatter_chart(sizes(), options).spec.at("datasets").at("points").size(), 1u);
}

TEST(ScatterChart, DrawsTheFrontAsALine) {
  ScatterOptions options = size_and_loss();
  options.front = {0, 1};
  options.label = "name";
  const Json spec = scatter_chart(sizes(), options).spec;
  ASSERT_EQ(spec.at("layer").size(), 3u);
  EXPECT_EQ(spec.at("layer")[0].at("mark").at("type"), "line");
  EXPECT_EQ(spec.at("datasets").at("front").size(), 2u);
  options.front = {7};
  EXPECT_THROW(scatter_chart(sizes(), options), Error);
}

TEST(ScatterChart, MarksRowsOnTopAndGivesShapes) {
  ScatterOptions options = size_and_loss();
  options.marked = {0};
  options.front = {0, 1};
  options.label = "name";
  options.shape = "family";
  const Json spec = scatter_chart(sizes(), options).spec;
  ASSERT_EQ(spec.at("layer").size(), 5u);
  EXPECT_EQ(spec.at("layer")[3].at("mark").at("shape"), "diamond");
  EXPECT_EQ(spec.at("layer")[1].at("encoding").at("shape").at("field"), "shape");
  EXPECT_EQ(spec.at("datasets").at("points")[1].at("shape"), "sparse");
  // The label of a row that is marked and on the front stands once.
  EXPECT_EQ(spec.at("datasets").at("marked")[0].at("label"), "a");
  EXPECT_EQ(spec.at("datasets").at("front")[1].at("label"), "");
  options.marked = {9};
  EXPECT_THROW(scatter_chart(sizes(), options), Error);
}

TEST(Labels, KeepApartOrAreLeftOut) {
  const auto far = place_labels({{0.1, 0.5, "first"}, {0.5, 0.5, "second"}});
  EXPECT_TRUE(far[0].shown && far[1].shown);
  EXPECT_TRUE(far[0].right && far[0].above);
  // At one place there are four corners and no fifth.
  const auto crowd = place_labels(std::vector<LabelledPoint>(5, {0.5, 0.5, "a label"}));
  std::set<std::pair<bool, bool>> corners;
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(crowd[i].shown);
    corners.insert({crowd[i].right, crowd[i].above});
  }
  EXPECT_EQ(corners.size(), 4u);
  EXPECT_FALSE(crowd[4].shown);
  // At the right edge a label stands on the left.
  EXPECT_FALSE(place_labels({{1, 0.5, "a label"}})[0].right);
}

TEST(ScatterChart, NamesTheNearestColumn) {
  ScatterOptions options = size_and_loss();
  options.y = "los";
  try {
    scatter_chart(sizes(), options);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("loss"), std::string::npos);
  }
}

TEST(LineChart, PassesOverAbsentValuesAndBreaksAtNaN) {
  Table table({{"step"}, {"train", "nats"}, {"eval", "nats"}});
  table.add({{"step", 1}, {"train", 3.0}, {"eval", 3.5}});
  table.add({{"step", 2}, {"train", "nan"}});
  table.add({{"step", 3}, {"train", 2.0}, {"eval", nullptr}});
  const Json spec = line_chart(table, {.title = "t", .x = "step", .y = {"train", "eval"}}).spec;
  const Json& data = spec.at("datasets").at("points");
  ASSERT_EQ(data.size(), 4u);
  EXPECT_TRUE(data[1].at("y").is_null());
  EXPECT_EQ(data[3].at("group"), "eval (nats)");
  EXPECT_THROW(line_chart(table, {.title = "t", .x = "step", .y = {}}), Error);
}

TEST(HeatChart, HasACellForEachFiniteRow) {
  Table table({{"place"}, {"row"}, {"score", "", ".1f"}, {"text"}});
  table.add({{"place", 0}, {"row", 0}, {"score", 1.5}, {"text", "a"}});
  table.add({{"place", 1}, {"row", 0}, {"score", std::nan("")}, {"text", "b"}});
  table.add({{"place", 0}, {"row", 1}, {"score", -2}, {"text", "c"}});
  HeatOptions options;
  options.title = "t", options.x = "place", options.y = "row", options.value = "score",
  options.label = "text";
  const auto chart = heat_chart(table, options);
  const auto& cells = chart.spec["datasets"]["cells"];
  ASSERT_EQ(cells.size(), 2u);
  EXPECT_EQ(cells[1]["value"], -2);
  EXPECT_EQ(cells[1]["label"], "c");
  EXPECT_EQ(cells[0]["t2"], "1.5");
  options.value = "scor";
  EXPECT_THROW(heat_chart(table, options), Error);
}

TEST(GraphChart, JoinsNodesAtTheirPlaces) {
  Table nodes({{"node"}, {"x"}, {"y"}}), edges({{"from"}, {"to"}, {"by"}, {"share"}});
  nodes.add({{"node", "a"}, {"x", 1}, {"y", 0}});
  nodes.add({{"node", "b"}, {"x", 4}, {"y", 2}});
  edges.add({{"from", "a"}, {"to", "b"}, {"by", "key"}, {"share", -0.5}});
  GraphOptions options;
  options.title = "t", options.x = "x", options.y = "y", options.name = "node";
  options.from = "from", options.to = "to", options.weight = "share", options.colour = "by";
  const auto chart = graph_chart(nodes, edges, options);
  const auto& line = chart.spec["datasets"]["edges"][0];
  EXPECT_EQ(line["x"], 1);
  EXPECT_EQ(line["y"], 0);
  EXPECT_EQ(line["x2"], 4);
  EXPECT_EQ(line["y2"], 2);
  EXPECT_EQ(line["weight"], 0.5);
  EXPECT_EQ(line["t2"], "-0.5");
  EXPECT_EQ(line["group"], "key");
  EXPECT_EQ(chart.spec["datasets"]["nodes"].size(), 2u);
  edges.add({{"from", "a"}, {"to", "c"}, {"by", "key"}, {"share", 1}});
  EXPECT_THROW(graph_chart(nodes, edges, options), Error);
}

}  // namespace
}  // namespace formwork
