#include "formwork/text/bpe_tokenizer.h"

#include <nlohmann/json.hpp>
#include <queue>

#include "formwork/core/error.h"
#include "formwork/text/bpe_json.h"
#include "formwork/text/word_split.h"

namespace formwork {
namespace {

uint64_t pair_key(int64_t left, int64_t right) {
  return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
}

// One piece of a word while it merges: a doubly linked list in an array.
struct Piece {
  int32_t id, previous, next;
};

struct Candidate {
  int32_t rank, at, left, right;  // left and right tell a stale candidate
  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : at > other.at;
  }
};

}  // namespace

BpeTokenizer::BpeTokenizer(BpeModel model) : model_(std::move(model)) {
  std::unordered_map<std::string_view, int32_t> ids;
  std::vector<bool> special(model_.tokens.size());
  for (int32_t id : model_.special) special.at(id) = true;
  for (size_t id = 0; id < model_.tokens.size(); ++id)
    if (!special[id]) ids.emplace(model_.tokens[id], id);
  const auto id_of = [&](const std::string& bytes) {
    const auto found = ids.find(bytes);
    if (found == ids.end()) fail("BPE vocabulary of {} tokens lacks a needed one", model_.tokens.size());
    return found->second;
  };
  for (int byte = 0; byte < 256; ++byte) byte_ids_[byte] = id_of(std::string(1, static_cast<char>(byte)));
  merges_.reserve(model_.merges.size());
  for (size_t rank = 0; rank < model_.merges.size(); ++rank) {
    const auto [left, right] = model_.merges[rank];
    const int32_t joined = id_of(model_.tokens.at(left) + model_.tokens.at(right));
    merges_.emplace(pair_key(left, right), Merge{static_cast<int32_t>(rank), joined});
  }
}

const BpeTokenizer::Merge* BpeTokenizer::merge_of(int64_t left, int64_t right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void BpeTokenizer::encode_word(std::string_view word, std::vector<int64_t>& ids) const {
  const auto count = static_cast<int32_t>(word.size());
  std::vector<Piece> pieces(count);
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto offer = [&](int32_t at) {
    if (at < 0 || pieces[at].next >= count) return;
    const int32_t left = pieces[at].id, right = pieces[pieces[at].next].id;
    if (const Merge* merge = merge_of(left, right)) queue.push({merge->rank, at, left, right});
  };
  for (int32_t i = 0; i < count; ++i) pieces[i] = {byte_ids_[static_cast<uint8_t>(word[i])], i - 1, i + 1};
  for (int32_t i = 0; i + 1 < count; ++i) offer(i);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Piece& piece = pieces[best.at];
    if (piece.id != best.left || piece.next >= count || pieces[piece.next].id != best.right) continue;
    Piece& gone = pieces[piece.next];
    piece.id = merge_of(best.left, best.right)->joined;
    piece.next = gone.next;
    gone.id = -1;
    if (piece.next < count) pieces[piece.next].previous = best.at;
    offer(piece.previous);
    offer(best.at);
  }
  for (int32_t at = 0; at < count; at = pieces[at].next) ids.push_back(pieces[at].id);
}

void BpeTokenizer::encode_plain(std::string_view text, std::vector<int64_t>& ids) const {
  struct Seen {
    size_t first, count;
  };
  std::unordered_map<std::string_view, Seen> cache;  // a repeated word is copied from where it first came out
  for_each_word(text, [&](std::string_view word) {
    const auto [entry, is_new] = cache.try_emplace(word, Seen{ids.size(), 0});
    if (is_new) {
      encode_word(word, ids);
      entry->second.count = ids.size() - entry->second.first;
      return;
    }
    const Seen seen = entry->second;
    for (size_t i = 0; i < seen.count; ++i) ids.push_back(ids[seen.first + i]);
  });
}

std::pair<size_t, int32_t> BpeTokenizer::next_special(std::string_view text, size_t from) const {
  std::pair<size_t, int32_t> best{std::string_view::npos, -1};
  for (int32_t id : model_.special) {
    const size_t at = text.substr(0, best.first == std::string_view::npos
                                         ? text.size()
                                         : std::min(text.size(), best.first + model_.tokens[id].size()))
                          .find(model_.tokens[id], from);
    const bool longer =
        at == best.first && best.second >= 0 && model_.tokens[id].size() > model_.tokens[best.second].size();
    if (at < best.first || longer) best = {at, id};
  }
  return best;
}

std::vector<int64_t> BpeTokenizer::encode(std::string_view text) const {
  std::vector<int64_t> ids;
  size_t at = 0;
  while (at < text.size()) {
    const auto [special_at, id] = next_special(text, at);
    encode_plain(text.substr(at, special_at == std::string_view::npos ? special_at : special_at - at), ids);
    if (id < 0) break;
    ids.push_back(id);
    at = special_at + model_.tokens[id].size();
  }
  return ids;
}

std::string_view BpeTokenizer::token(int64_t id) const {
  if (id < 0 || id >= vocab_size()) fail("expected a token id in [0, {}), found {}", vocab_size(), id);
  return model_.tokens[id];
}

nlohmann::json BpeTokenizer::to_json() const { return bpe_model_to_json(model_); }

}  // namespace formwork
