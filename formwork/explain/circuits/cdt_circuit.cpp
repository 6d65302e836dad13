// Probe `cdt_circuit`: the heads at places behind one behaviour, found by contextual decomposition.
#include "formwork/core/file.h"
#include "formwork/explain/circuits/circuit_search.h"
#include "formwork/explain/circuits/prompts_file.h"
#include "formwork/explain/probe.h"

namespace formwork {
namespace {

struct CdtCircuitOptions {
  SplitRules rules;
  SourceOptions sources;
  TargetRead read;
  std::string prompts, layer_sum = "absolute";
  int64_t keep_per_round = 2, highest = 20;
  bool prune = true;
  Json source_nodes = Json::array(), target_nodes = Json::array();

  CdtCircuitOptions() { rules.attention = "split", rules.sign_repair = "mlp"; }
  void describe(Fields& f) {
    f.text("prompts", prompts,
           "a JSON file: {\"prompts\": [{\"tokens\": [ids], \"answer\": id, \"foil\": id}], \"reference\": "
           "[[ids]]}, "
           "\"text\" for \"tokens\" and words for ids where the model has a tokenizer; empty: the task's "
           "rows, each "
           "with the model's first and second choice, and means over these rows, which leave out what all "
           "share");
    rules.describe(f);
    f.choice("inject", sources.inject, {"zero", "mean"}, "what a source leaves behind: nothing, or its mean");
    f.choice("target_read", read.place, {"z", "query", "key", "value", "z+key+query"},
             "where targets are read; z+key+query: a search at each, and the union");
    f.choice(
        "read_at", read.at, {"own", "attended"},
        "keys and values of targets: at their own place, or at all places by the attention paid to them");
    f.choice("target_score", read.score, {"l1", "dot"},
             "the share of the size, or the product with what differs from the mean");
    f.choice("layer_sum", layer_sum, {"absolute", "signed"},
             "what scores are divided by in each layer; signed: as published, where a negative sum turns the "
             "order");
    f.integer("keep_per_round", keep_per_round, "nodes that a round keeps", 1, 1 << 20);
    f.flag("prune", prune, "leave out nodes while that raises the faithfulness");
    f.integer("chunk", sources.chunk, "sources of a pass; 0: 64 / prompts", 0, 1 << 20);
    f.json("sources", source_nodes, "[[layer, position, head]] to score alone; empty: all, in a search");
    f.json("targets", target_nodes, "[[layer, position, head]] to score sources at; empty: the logits");
    f.integer("highest", highest, "nodes to list by their score at the logits", 0, 1 << 20);
  }
};

std::vector<TargetRead> reads_of(const TargetRead& read) {
  if (read.place != "z+key+query") return {read};
  std::vector<TargetRead> reads;
  for (const char* place : {"z", "key", "query"})
    reads.push_back({place, place == std::string("key") ? read.at : "own", read.score});
  return reads;
}

std::vector<Node> nodes_of(const Json& list, const char* option) {
  std::vector<Node> nodes;
  const auto wrong = [&](const Json& found) {
    fail("cdt_circuit: option '{}' expects [[layer, position, head]] of integers, found {}", option,
         found.dump());
  };
  if (!list.is_array()) wrong(list);
  for (const auto& node : list) {
    if (!node.is_array() || node.size() != 3) wrong(node);
    for (const auto& value : node)
      if (!value.is_number_integer()) wrong(node);
    nodes.push_back({node[0].get<int64_t>(), node[1].get<int64_t>(), node[2].get<int64_t>()});
  }
  return nodes;
}

Json node_json(const Node& node) {
  return {{"node", node.text()}, {"layer", node.layer}, {"position", node.position}, {"head", node.head}};
}

Json scored(const std::vector<Node>& nodes, const Tensor& scores, int64_t most) {
  const auto order = scores.argsort(/*stable=*/true, 0, true);
  Json list = Json::array();
  for (int64_t i = 0; i < std::min(most, scores.size(0)); ++i) {
    const auto at = order[i].item<int64_t>();
    auto row = node_json(nodes[static_cast<size_t>(at)]);
    row["score"] = scores[at].item<double>();
    list.push_back(row);
  }
  return list;
}

class CdtCircuit final : public Probe {
 public:
  using Options = CdtCircuitOptions;
  explicit CdtCircuit(const Options& options)
      : options_(options),
        sources_(nodes_of(options.source_nodes, "sources")),
        targets_(nodes_of(options.target_nodes, "targets")) {
    if (!targets_.empty() && options.read.place == "z+key+query")
      fail("cdt_circuit: targets are read at one place, found target_read 'z+key+query'");
  }
  Json run(Model& model, const std::vector<Record>& batches) const override;
  bool reads_data() const override { return options_.prompts.empty(); }
  void draw(Page& page, const Json& report) const override;

 private:
  CircuitOptions circuit_options() const {
    return {options_.rules,     options_.sources,        reads_of(options_.read),
            options_.layer_sum, options_.keep_per_round, options_.prune};
  }
  Json scores(CircuitFinder& finder) const;
  Json circuit(CircuitFinder& finder) const;

  Options options_;
  std::vector<Node> sources_, targets_;
};

// Sources alone, against the logits or the targets.
Json CdtCircuit::scores(CircuitFinder& finder) const {
  const auto nodes = sources_.empty() ? finder.scores().all() : sources_;
  const auto found = targets_.empty()
                         ? finder.logit_scores(nodes)
                         : share_of_layer(finder.scores().at_targets(nodes, targets_, options_.read).sum(1),
                                          nodes, options_.layer_sum);
  return {{"sources", nodes.size()},
          {"targets", targets_.size()},
          {"scores", scored(nodes, found, found.size(0))}};
}

Json rounds_json(const std::vector<Round>& rounds) {
  Json list = Json::array();
  for (size_t i = 0; i < rounds.size(); ++i)
    for (const auto& kept : rounds[i].kept) {
      Json row = {{"round", i + 1}, {"read", rounds[i].place}};
      row.update(node_json(kept.node));
      row["score"] = kept.score;
      list.push_back(row);
    }
  return list;
}

// From what a round kept to its targets.
Json edges_json(const std::vector<Round>& rounds, const std::vector<Node>& circuit) {
  const auto stays = [&](const Node& node) {
    return std::find(circuit.begin(), circuit.end(), node) != circuit.end();
  };
  Json list = Json::array();
  for (const auto& round : rounds)
    for (const auto& kept : round.kept) {
      if (!stays(kept.node)) continue;
      if (round.targets.empty())
        list.push_back(
            {{"from", kept.node.text()}, {"to", "logits"}, {"read", round.place}, {"score", kept.score}});
      for (size_t m = 0; m < round.targets.size(); ++m)
        if (stays(round.targets[m]) && kept.node.layer < round.targets[m].layer)
          list.push_back({{"from", kept.node.text()},
                          {"to", round.targets[m].text()},
                          {"read", round.place},
                          {"score", kept.at_targets[m]}});
    }
  return list;
}

Json CdtCircuit::circuit(CircuitFinder& finder) const {
  const auto rounds = finder.search();
  const auto found = union_of(rounds);
  std::vector<Node> left_out, circuit = options_.prune ? finder.pruned(found, left_out) : found;
  const auto faithful = finder.faithfulness({found, circuit});
  const auto ends = finder.metric({{}, finder.scores().all()});
  Json nodes = Json::array();
  for (const auto& node : circuit) {
    auto others = finder.scores().all();
    others.erase(std::find(others.begin(), others.end(), node));
    auto row = node_json(node);
    row["loss without it"] = ends[1] - finder.metric({others})[0];
    nodes.push_back(row);
  }
  Json pruned = Json::array();
  for (const auto& node : left_out) pruned.push_back(node_json(node));
  const auto all = finder.scores().all();
  return {{"prompts", finder.prompts().rows()},
          {"tokens", finder.prompts().tokens()},
          {"layers", finder.sites().size()},
          {"logit difference", ends[1]},
          {"without all heads", ends[0]},
          {"faithfulness", faithful[1]},
          {"before pruning", faithful[0]},
          {"circuit", nodes},
          {"edges", edges_json(rounds, circuit)},
          {"rounds", rounds_json(rounds)},
          {"left out", pruned},
          {"highest", scored(all, finder.logit_scores(all), options_.highest)}};
}

Json CdtCircuit::run(Model& model, const std::vector<Record>& batches) const {
  const auto prompts = options_.prompts.empty() ? prompts_of_rows(model, batches)
                                                : read_prompts(options_.prompts, model.spec().meta);
  CircuitFinder finder(model, prompts, circuit_options());
  return sources_.empty() && targets_.empty() ? circuit(finder) : scores(finder);
}

void CdtCircuit::draw(Page& page, const Json& report) const {
  if (!report.contains("edges")) return;
  const auto layers = report["layers"].get<double>();
  Table nodes({{"node"}, {"x"}, {"y"}}),
      edges({{"from"}, {"to"}, {"read"}, {"share of the largest", "", ".3g"}});
  double most = 1;
  for (const auto& node : report["circuit"]) most = std::max(most, node["head"].get<double>() + 1);
  // Heads of one layer and place stand beside and above each other, so that lines do not hide behind nodes.
  for (const auto& node : report["circuit"]) {
    const double share = node["head"].get<double>() / most;
    nodes.add({{"node", node["node"]},
               {"x", node["position"].get<double>() + 0.6 * share},
               {"y", node["layer"].get<double>() + 0.8 * share}});
  }
  nodes.add({{"node", "logits"}, {"x", report["tokens"].get<int64_t>() - 1}, {"y", layers + 0.2}});
  std::map<std::string, double> largest;
  for (const auto& edge : report["edges"]) {
    auto& size = largest[edge["read"].get<std::string>()];
    size = std::max(size, std::abs(edge["score"].get<double>()));
  }
  for (auto edge : report["edges"]) {
    edge["share of the largest"] = edge["score"].get<double>() / largest[edge["read"].get<std::string>()];
    edges.add(edge);
  }
  GraphOptions graph;
  graph.title = "Circuit";
  graph.x = "x", graph.y = "y", graph.name = "node";
  graph.from = "from", graph.to = "to", graph.weight = "share of the largest", graph.colour = "read";
  graph.x_title = "position", graph.y_title = "layer";
  graph.caption =
      "A node is layer.head@position. A line leads from a head to what it contributes to: the logits, or the "
      "place (z, query, key, value) of a later head at which its share was read. Of lines of one colour the "
      "thicker ones contribute more.";
  page.chart(graph_chart(nodes, edges, graph));
}

FORMWORK_PART(Probe, CdtCircuit, "cdt_circuit",
              "the heads at places behind one behaviour, by contextual decomposition (CD-T)");

}  // namespace
}  // namespace formwork
