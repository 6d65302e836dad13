#include "formwork/text/post_processor.h"

#include <functional>
#include <optional>

#include "formwork/text/by_type.h"

namespace formwork {
namespace {

using nlohmann::json;
using Item = PostProcessor::Item;
using ItemKind = PostProcessor::Item::Kind;
using MadeProcessor = std::optional<PostProcessor>;

int64_t checked_id(const json& id, std::string_view where) {
  if (!id.is_number_integer() || id < 0 || id > 0x7FFFFFFF)
    fail("{}: expected the id of a special token, found {}", where, shown(id));
  return id.get<int64_t>();
}

Item special_item(const json& ids, int64_t type, std::string_view where) {
  if (!ids.is_array()) fail("{}: expected a list of ids, found {}", where, shown(ids));
  Item item{ItemKind::special, {}, type};
  for (const json& id : ids) item.ids.push_back(checked_id(id, where));
  return item;
}

Item template_item(const json& piece, const json& specials, std::string_view where) {
  if (piece.is_object() && piece.contains("Sequence")) {
    const json& sequence = piece["Sequence"];
    const std::string id = text_field(sequence, "id", where);
    if (id != "A" && id != "B") fail("{}: expected a sequence A or B in a template, found '{}'", where, id);
    return {id == "A" ? ItemKind::first : ItemKind::second, {}, count_field(sequence, "type_id", 0, where)};
  }
  const json& token = field(piece, "SpecialToken", where);
  const std::string name = text_field(token, "id", where);
  if (!specials.is_object() || !specials.contains(name))
    fail("{}: the template's token '{}' is not among its special_tokens", where, name);
  return special_item(field(specials[name], "ids", where), count_field(token, "type_id", 0, where), where);
}

PostProcessor::Template read_template(const json& list, const json& specials, std::string_view where) {
  PostProcessor::Template items;
  for (const json& piece : list) items.push_back(template_item(piece, specials, where));
  return items;
}

MadeProcessor make_template(const json& content, std::string_view where) {
  const json none = json::object();
  const json& specials = content.contains("special_tokens") ? content["special_tokens"] : none;
  PostProcessor made;
  made.single = read_template(list_field(content, "single", where), specials, where);
  if (content.contains("pair") && content["pair"].is_array())
    made.pair = read_template(content["pair"], specials, where);
  return made;
}

// ["[SEP]", 102]
Item pair_item(const json& content, const char* key, int64_t type, std::string_view where) {
  const json& token = list_field(content, key, where);
  if (token.size() != 2)
    fail("{}: expected '{}' to be a token and its id, found {}", where, key, shown(token));
  return {ItemKind::special, {checked_id(token[1], where)}, type};
}

MadeProcessor make_bert(const json& content, std::string_view where) {
  const Item cls = pair_item(content, "cls", 0, where), sep = pair_item(content, "sep", 0, where);
  PostProcessor made;
  made.single = {cls, {ItemKind::first, {}, 0}, sep};
  made.pair = {
      cls, {ItemKind::first, {}, 0}, sep, {ItemKind::second, {}, 1}, pair_item(content, "sep", 1, where)};
  return made;
}

// All type ids are 0, and the second text has a separator on either side.
MadeProcessor make_roberta(const json& content, std::string_view where) {
  const Item cls = pair_item(content, "cls", 0, where), sep = pair_item(content, "sep", 0, where);
  PostProcessor made;
  made.single = {cls, {ItemKind::first, {}, 0}, sep};
  made.pair = {cls, {ItemKind::first, {}, 0}, sep, sep, {ItemKind::second, {}, 0}, sep};
  return made;
}

MadeProcessor make_any(const json& content, std::string_view where, int depth);

MadeProcessor make_processor_sequence(const json& content, std::string_view where, int depth) {
  MadeProcessor result;
  for (const json& part : list_field(content, "processors", where)) {
    MadeProcessor made = make_any(part, where, depth + 1);
    if (!made) continue;
    if (result) fail("{}: expected one post-processor that adds tokens, found two", where);
    result = std::move(made);
  }
  return result;
}

// Nothing for a post-processor that only moves offsets.
MadeProcessor make_any(const json& content, std::string_view where, int depth) {
  constexpr int deepest = 8;
  if (depth > deepest) fail("{}: post-processors are nested more than {} deep", where, deepest);
  const std::map<std::string, std::function<MadeProcessor()>> types = {
      {"TemplateProcessing", [&] { return make_template(content, where); }},
      {"BertProcessing", [&] { return make_bert(content, where); }},
      {"RobertaProcessing", [&] { return make_roberta(content, where); }},
      {"ByteLevel", [] { return MadeProcessor(); }},
      {"Sequence", [&] { return make_processor_sequence(content, where, depth); }},
  };
  return make_by_type(types, "post_processor", content, where);
}

}  // namespace

PostProcessor::PostProcessor()
    : single{{ItemKind::first, {}, 0}}, pair{{ItemKind::first, {}, 0}, {ItemKind::second, {}, 1}} {}

PostProcessor make_post_processor(const json& content, std::string_view where) {
  return make_any(content, where, 0).value_or(PostProcessor());
}

}  // namespace formwork
