#include "formwork/models/tokens.h"

namespace formwork {
namespace {

const Tensor* find(const Record& in, const std::string& name) {
  const auto found = in.find(name);
  return found == in.end() ? nullptr : &found->second;
}

std::vector<int64_t> read_offsets(const Tensor& offsets, int64_t tokens) {
  const auto flat = offsets.to(at::kLong).contiguous();
  std::vector<int64_t> list(flat.data_ptr<int64_t>(), flat.data_ptr<int64_t>() + flat.numel());
  if (list.size() < 2 || list.front() != 0 || list.back() != tokens ||
      !std::is_sorted(list.begin(), list.end()))
    fail("offsets: expected ascending numbers from 0 to the {} packed tokens", tokens);
  return list;
}

}  // namespace

Tensor packed_positions(const std::vector<int64_t>& offsets) {
  std::vector<Tensor> parts;
  for (size_t s = 0; s + 1 < offsets.size(); ++s)
    parts.push_back(at::arange(offsets[s + 1] - offsets[s], at::kLong));
  return at::cat(parts).unsqueeze(0);
}

std::vector<std::string> with_draft_fields(std::vector<std::string> fields, const std::string& prefix) {
  fields.push_back(prefix + "parents");
  fields.push_back(prefix + "anchors");
  return fields;
}

void check_fields(const Record& in, const std::vector<std::string>& known) {
  for (const auto& [name, value] : in)
    if (std::find(known.begin(), known.end(), name) == known.end()) fail_unknown("input", name, known);
}

void restore_tokens(const Compaction* compaction, const Head& head, Record& out) {
  if (!compaction) return;
  for (auto& [name, value] : out)
    if (head.per_token(name)) value = compaction->restore(value);
}

namespace {

// The field that holds the tokens, checked.
const Tensor& read_content(const Record& in, const std::string& name, bool ids) {
  const Tensor* content = find(in, name);
  if (!content) fail("input '{}' is missing", name);
  const auto type = content->scalar_type();
  const bool fits = ids ? content->dim() == 2 && (type == at::kLong || type == at::kInt)
                        : content->dim() == 3 && content->is_floating_point();
  if (!fits)
    fail("input '{}': expected {}, found {} dimensions of {}", name,
         ids ? "[B, T] int64" : "[B, T, F] of floating-point numbers", content->dim(), c10::toString(type));
  if (content->size(1) == 0) fail("input '{}': expected rows of at least 1 token, found 0", name);
  return *content;
}

// The fields "parents" and "anchors", into the layout.
void read_drafts(const Record& in, const std::string& prefix, TokenInput& tokens) {
  const int64_t rows = tokens.content.size(0), count = tokens.content.size(1);
  const auto field = [&](const char* name) {
    const Tensor* found = find(in, prefix + name);
    if (!found) return Tensor();
    if (found->dim() != 2 || found->scalar_type() != at::kLong ||
        (found->size(0) != rows && found->size(0) != 1))
      fail("input '{}{}': expected [{}, n] int64, found {} dimensions of {}", prefix, name, rows,
           found->dim(), c10::toString(found->scalar_type()));
    if (tokens.layout.packed() || (tokens.compaction && !tokens.compaction->aligned()))
      fail("input '{}{}': expected rows that begin with their real tokens", prefix, name);
    return *found;
  };
  if (const auto parents = field("parents"); parents.defined()) {
    if (parents.size(1) != count)
      fail("input '{}parents': expected one for each of {} tokens, found {}", prefix, count, parents.size(1));
    tokens.layout.tree = std::make_shared<TokenTree>(parents);
    if (!tokens.layout.positions.defined()) tokens.positions = tokens.layout.tree->depths();
  }
  const auto anchors = field("anchors");
  if (!anchors.defined() || anchors.numel() == 0) return;
  if (anchors.min().item<int64_t>() < 0 || anchors.max().item<int64_t>() >= count)
    fail("input '{}anchors': expected places among {} tokens, found {} to {}", prefix, count,
         anchors.min().item<int64_t>(), anchors.max().item<int64_t>());
  tokens.layout.anchors = anchors;
}

}  // namespace

TokenInput read_tokens(const Record& in, const std::string& prefix, const std::string& field) {
  const bool ids = field == "input_ids";
  const auto& content = read_content(in, prefix + field, ids);
  const auto shape = content.sizes().slice(0, 2);
  const auto same_shape = [&](const Tensor* other, const char* name) {
    if (other && other->sizes() != shape)
      fail("input '{}{}': expected the shape [{}, {}] of {}", prefix, name, shape[0], shape[1], field);
  };
  const Tensor* segments = find(in, prefix + "token_type_ids");
  const Tensor* positions = find(in, prefix + "position_ids");
  same_shape(find(in, prefix + "attention_mask"), "attention_mask");
  same_shape(segments, "token_type_ids");
  same_shape(positions, "position_ids");

  TokenInput tokens;
  const Tensor* mask = find(in, prefix + "attention_mask");
  if (mask && !mask->ne(0).all().item<bool>()) tokens.compaction = std::make_shared<Compaction>(*mask);
  const auto* compaction = tokens.compaction.get();
  const auto align = [&](const Tensor& x) { return compaction ? compaction->align(x) : x; };
  tokens.content = align(ids ? content.to(at::kLong) : content);
  if (segments) tokens.segments = align(segments->to(at::kLong));
  if (compaction) tokens.layout.lengths = compaction->lengths();
  tokens.positions = at::arange(tokens.content.size(1), at::kLong).to(content.device()).unsqueeze(0);
  if (const Tensor* offsets = find(in, prefix + "offsets")) {
    if (compaction || shape[0] != 1) fail("packed tokens (offsets): expected one row without a mask");
    tokens.layout.offsets = read_offsets(*offsets, shape[1]);
    tokens.positions = packed_positions(tokens.layout.offsets);
    tokens.layout.positions = tokens.positions;
  }
  if (positions) tokens.positions = tokens.layout.positions = align(positions->to(at::kLong));
  if (const Tensor* lengths = find(in, prefix + "prefix_lengths"))
    tokens.layout.prefix = lengths->to(at::kLong);
  read_drafts(in, prefix, tokens);
  return tokens;
}

}  // namespace formwork
