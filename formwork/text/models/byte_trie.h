// A trie over bytes whose edges lie in one hash table: common prefixes of a text with a set of strings.
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

#include "formwork/text/models/hash.h"

namespace formwork {

class ByteTrie {
 public:
  ByteTrie() { edges_.resize(64); }

  // A later value for the same text replaces the earlier one. The empty text is not kept.
  void add(std::string_view text, int32_t value) {
    if (text.empty()) return;
    uint32_t node = 0;
    for (const char byte : text) node = child_or_new(node, static_cast<uint8_t>(byte));
    values_[node] = value;
  }

  // Calls visit(length, value) for every stored prefix of text[from..], shortest first.
  template <class Visit>
  void prefixes(std::string_view text, size_t from, Visit&& visit) const {
    uint32_t node = 0;
    for (size_t at = from; at < text.size(); ++at) {
      node = child(node, static_cast<uint8_t>(text[at]));
      if (node == 0) return;
      if (values_[node] >= 0) visit(at + 1 - from, values_[node]);
    }
  }

  bool empty() const { return values_.size() == 1; }

 private:
  struct Edge {
    uint32_t from = 0, to = 0;  // to == 0: an empty slot
    uint8_t byte = 0;
  };
  static size_t hash(uint32_t node, uint8_t byte) { return mix(uint64_t{node} << 8 | byte); }

  const Edge& slot(uint32_t node, uint8_t byte) const {
    const size_t mask = edges_.size() - 1;
    size_t at = hash(node, byte) & mask;
    while (edges_[at].to != 0 && (edges_[at].from != node || edges_[at].byte != byte)) at = (at + 1) & mask;
    return edges_[at];
  }
  uint32_t child(uint32_t node, uint8_t byte) const { return slot(node, byte).to; }

  uint32_t child_or_new(uint32_t node, uint8_t byte) {
    if (const uint32_t known = child(node, byte)) return known;
    if (2 * values_.size() > edges_.size()) grow();
    const auto made = static_cast<uint32_t>(values_.size());
    values_.push_back(-1);
    const_cast<Edge&>(slot(node, byte)) = {node, made, byte};
    return made;
  }

  void grow() {
    std::vector<Edge> old(2 * edges_.size());
    old.swap(edges_);
    for (const Edge& edge : old)
      if (edge.to != 0) const_cast<Edge&>(slot(edge.from, edge.byte)) = edge;
  }

  std::vector<Edge> edges_;
  std::vector<int32_t> values_ = {-1};  // of each node; node 0 is the root
};

}  // namespace formwork
