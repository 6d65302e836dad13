#include "formwork/explain/circuits/prompts_file.h"

#include "formwork/core/file.h"
#include "formwork/core/json_text.h"
#include "formwork/tasks/text_source.h"

namespace formwork {
namespace {

// Ids from numbers and texts of one file.
class Reader {
 public:
  Reader(std::string where, const Json& meta) : where_(std::move(where)) {
    if (meta.contains("tokenizer")) tokenizer_ = model_tokenizer(meta, "");
  }

  std::vector<int64_t> ids(const Json& value, const std::string& what) const {
    if (value.is_string()) return tokenizer(what).encode(value.get<std::string>());
    if (!value.is_array()) wrong(what, "a list of token ids, or a text", value);
    std::vector<int64_t> ids;
    for (const auto& id : value) {
      if (!id.is_number_integer()) wrong(what, "integer ids", id);
      ids.push_back(id.get<int64_t>());
    }
    return ids;
  }

  int64_t one(const Json& prompt, const char* name, const std::string& what) const {
    const auto found = prompt.find(name);
    if (found == prompt.end()) wrong(what, fmt::format("'{}'", name), prompt);
    if (found->is_number_integer()) return found->get<int64_t>();
    if (!found->is_string()) wrong(what, fmt::format("an id as '{}'", name), *found);
    const auto tokens = ids(*found, what);
    if (tokens.size() != 1) wrong(what, fmt::format("one token as '{}'", name), *found);
    return tokens[0];
  }

  [[noreturn]] void wrong(const std::string& what, const std::string& expected, const Json& found) const {
    fail("{}: {}: expected {}, found {}", where_, what, expected, found.dump());
  }

 private:
  const Tokenizer& tokenizer(const std::string& what) const {
    if (!tokenizer_)
      fail("{}: {}: the model has no tokenizer, so expected token ids, found a text", where_, what);
    return *tokenizer_;
  }
  std::string where_;
  std::shared_ptr<const Tokenizer> tokenizer_;
};

// Rows of one length as [B, T].
Tensor stacked(const std::vector<std::vector<int64_t>>& rows, const std::string& where, const char* what) {
  std::vector<Tensor> list;
  for (const auto& row : rows) {
    if (row.size() != rows[0].size() || row.empty())
      fail("{}: expected {} of one length, {} tokens as the first, found one of {}", where, what,
           rows[0].size(), row.size());
    list.push_back(at::tensor(row, at::kLong));
  }
  return at::stack(list);
}

const Json& list_of(const Json& file, const char* name, const std::string& where) {
  const auto found = file.find(name);
  if (found == file.end() || !found->is_array() || found->empty())
    fail("{}: expected a list '{}' that is not empty, found {}", where, name,
         found == file.end() ? "none" : found->dump().substr(0, 40));
  return *found;
}

}  // namespace

CircuitPrompts read_prompts(const std::filesystem::path& path, const Json& meta) {
  const auto where = path.string();
  const Json file = read_json<Json>(path);
  if (!file.is_object()) fail("{}: expected an object with 'prompts', found {}", where, file.type_name());
  const Reader reader(where, meta);
  std::vector<std::vector<int64_t>> rows, reference;
  std::vector<int64_t> answers, foils;
  for (const auto& prompt : list_of(file, "prompts", where)) {
    const auto what = fmt::format("prompt {}", rows.size());
    if (!prompt.is_object()) reader.wrong(what, "an object", prompt);
    const auto tokens = prompt.find(prompt.contains("text") ? "text" : "tokens");
    if (tokens == prompt.end()) reader.wrong(what, "'tokens' or 'text'", prompt);
    rows.push_back(reader.ids(*tokens, what));
    answers.push_back(reader.one(prompt, "answer", what));
    foils.push_back(reader.one(prompt, "foil", what));
  }
  CircuitPrompts prompts{{{"input_ids", stacked(rows, where, "prompts")}},
                         at::tensor(answers, at::kLong),
                         at::tensor(foils, at::kLong),
                         {}};
  if (!file.contains("reference")) return prompts;
  for (const auto& row : list_of(file, "reference", where))
    reference.push_back(reader.ids(row, fmt::format("reference row {}", reference.size())));
  prompts.reference = {{"input_ids", stacked(reference, where, "reference rows")}};
  return prompts;
}

CircuitPrompts prompts_of_rows(Model& model, const std::vector<Record>& batches) {
  if (batches.empty()) fail("circuit: expected rows of data, found none");
  Record rows = batches[0];
  for (auto& [name, value] : rows) {
    std::vector<Tensor> parts;
    for (const auto& batch : batches) {
      const auto found = batch.find(name);
      if (found == batch.end() || found->second.size(1) != value.size(1))
        fail("circuit: expected rows of one length, so that places mean the same in all, found several");
      parts.push_back(found->second);
    }
    value = at::cat(parts);
  }
  const at::NoGradGuard guard;
  const auto record = record_heads(model, head_sites(model), rows);
  const auto logits = last_token(record.logits);
  const auto best = std::get<1>(logits.topk(2, -1));
  return {rows, best.select(1, 0), best.select(1, 1), rows};
}

}  // namespace formwork
