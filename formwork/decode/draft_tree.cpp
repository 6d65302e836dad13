#include "formwork/decode/draft_tree.h"

#include <algorithm>
#include <map>
#include <optional>

#include "formwork/core/error.h"

namespace formwork {
namespace {

using DraftPath = DraftTree::Path;

std::string path_text(const DraftPath& path) { return fmt::format("[{}]", fmt::join(path, ", ")); }

// Choices of the deepest nodes by their parent's path: depth 1 is 0 .. 9 (Medusa, 2024, medusa_choices).
struct Children {
  DraftPath parent;
  int64_t count;
};

const std::vector<Children>& medusa_children() {
  static const std::vector<Children> table = {
      {{}, 10},    {{0}, 10},   {{1}, 7},    {{2}, 3},      {{3}, 2},    {{4}, 1},
      {{5}, 1},    {{6}, 1},    {{7}, 1},    {{8}, 1},      {{9}, 1},    {{0, 0}, 10},
      {{0, 1}, 3}, {{0, 2}, 2}, {{0, 3}, 1}, {{0, 4}, 1},   {{0, 5}, 1}, {{0, 6}, 1},
      {{0, 7}, 1}, {{1, 0}, 2}, {{2, 0}, 1}, {{0, 0, 0}, 2}};
  return table;
}

DraftPath path_from(const Json& json) {
  DraftPath path;
  const auto whole = [](const Json& list) {
    return list.is_array() && !list.empty() &&
           std::all_of(list.begin(), list.end(), [](const Json& n) { return n.is_number_integer(); });
  };
  if (!whole(json)) fail("draft tree: expected a path such as [0, 2], found {}", json.dump());
  for (const auto& choice : json) path.push_back(choice.get<int64_t>());
  return path;
}

}  // namespace

DraftTree::DraftTree(std::vector<Path> paths) : parents_{-1}, depths_{0}, choices_{0} {
  std::sort(paths.begin(), paths.end(),
            [](const Path& a, const Path& b) { return a.size() != b.size() ? a.size() < b.size() : a < b; });
  std::map<Path, int64_t> nodes = {{{}, 0}};
  for (const auto& path : paths) {
    if (path.empty()) fail("draft tree: the root is always there and has no path of its own");
    if (path.back() < 0) fail("draft tree: path {} has a choice below 0", path_text(path));
    const auto parent = nodes.find(Path(path.begin(), path.end() - 1));
    if (parent == nodes.end())
      fail("draft tree: path {} has no parent, {} is missing", path_text(path),
           path_text(Path(path.begin(), path.end() - 1)));
    if (!nodes.emplace(path, size()).second) fail("draft tree: path {} stands there twice", path_text(path));
    parents_.push_back(parent->second), depths_.push_back(static_cast<int64_t>(path.size())),
        choices_.push_back(path.back());
  }
}

DraftTree DraftTree::chain(int64_t depth) {
  return full(std::vector<int64_t>(static_cast<size_t>(depth), 1));
}

DraftTree DraftTree::full(const std::vector<int64_t>& widths) {
  constexpr size_t kMostNodes = 1 << 16;
  std::vector<Path> paths, level = {{}};
  for (const int64_t width : widths) {
    if (width < 1) fail("draft tree: expected at least one candidate a depth, found {}", width);
    std::vector<Path> next;
    for (const auto& path : level)
      for (int64_t choice = 0; choice < width; ++choice) {
        next.push_back(path);
        next.back().push_back(choice);
        if (paths.size() + next.size() > kMostNodes) fail("draft tree: more than {} nodes", kMostNodes);
      }
    paths.insert(paths.end(), next.begin(), next.end());
    level = std::move(next);
  }
  return DraftTree(std::move(paths));
}

DraftTree DraftTree::medusa(int64_t depth) {
  std::vector<Path> paths;
  for (const auto& [parent, count] : medusa_children())
    for (int64_t choice = 0; choice < count; ++choice) {
      if (static_cast<int64_t>(parent.size()) >= depth) continue;
      paths.push_back(parent);
      paths.back().push_back(choice);
    }
  return DraftTree(std::move(paths));
}

DraftTree DraftTree::likeliest(const std::vector<std::vector<double>>& accuracies, int64_t nodes) {
  struct Open {
    Path path;
    double share;  // of the passes that are expected to go along it
  };
  std::vector<Open> open;
  std::vector<Path> paths;
  const auto add_children = [&](const Path& path, double share) {
    if (path.size() == accuracies.size()) return;
    const auto& choices = accuracies[path.size()];
    for (size_t choice = 0; choice < choices.size(); ++choice) {
      open.push_back({path, share * choices[choice]});
      open.back().path.push_back(static_cast<int64_t>(choice));
    }
  };
  add_children({}, 1);
  while (static_cast<int64_t>(paths.size()) < nodes) {
    // Of equals the first, so that a tree follows from its numbers alone.
    const auto best = std::max_element(open.begin(), open.end(),
                                       [](const Open& a, const Open& b) { return a.share < b.share; });
    if (best == open.end())
      fail("draft tree: expected {} nodes, and the candidates make only {}", nodes, paths.size());
    const auto [path, share] = *best;
    open.erase(best);
    paths.push_back(path);
    add_children(path, share);
  }
  return DraftTree(std::move(paths));
}

DraftTree DraftTree::from_json(const Json& json, int64_t depth) {
  if (json == "medusa") return medusa(depth);
  if (json == "chain") return chain(depth);
  std::optional<DraftTree> tree;
  if (json.is_object() && json.size() == 1 && json.contains("full")) {
    tree = full(json["full"].empty() ? Path() : path_from(json["full"]));
  } else if (json.is_array()) {
    std::vector<Path> paths;
    for (const auto& path : json) paths.push_back(path_from(path));
    tree.emplace(std::move(paths));
  } else {
    fail("draft tree: expected \"medusa\", \"chain\", {{\"full\": [3, 3, 3]}} or a list of paths, found {}",
         json.dump());
  }
  if (tree->depth() > depth)
    fail("draft tree: its paths go {} deep, and there are only {} drafts", tree->depth(), depth);
  return *std::move(tree);
}

DraftTree::Path DraftTree::path_of(int64_t node) const {
  Path path;
  for (; node > 0; node = parents_[static_cast<size_t>(node)])
    path.insert(path.begin(), choices_[static_cast<size_t>(node)]);
  return path;
}

int64_t DraftTree::width(int64_t depth) const {
  int64_t width = 0;
  for (size_t node = 0; node < depths_.size(); ++node)
    if (depths_[node] == depth) width = std::max(width, choices_[node] + 1);
  return width;
}

Tensor DraftTree::parent_row() const { return at::tensor(parents_, at::kLong).unsqueeze(0); }

std::vector<int64_t> DraftTree::slots(int64_t candidates) const {
  std::vector<int64_t> slots = {0};
  for (size_t node = 1; node < depths_.size(); ++node)
    slots.push_back(1 + candidates * (depths_[node] - 1) + choices_[node]);
  return slots;
}

std::vector<std::vector<int64_t>> DraftTree::leaf_paths() const {
  std::vector<std::vector<int64_t>> rows;
  std::vector<bool> inner(parents_.size());
  for (const int64_t parent : parents_)
    if (parent >= 0) inner[static_cast<size_t>(parent)] = true;
  for (int64_t leaf = size() - 1; leaf >= 0; --leaf) {
    if (inner[static_cast<size_t>(leaf)]) continue;
    std::vector<int64_t> row;
    for (int64_t node = leaf; node >= 0; node = parents_[static_cast<size_t>(node)]) row.push_back(node);
    std::reverse(row.begin(), row.end());
    row.resize(static_cast<size_t>(depth()) + 1, -1);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace formwork
