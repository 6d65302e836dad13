// Values of chat templates: data as JSON has it, namespaces, macros, and what is undefined.
#pragma once
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace formwork::chat {

using Data = nlohmann::ordered_json;
struct Statement;

class Value {
 public:
  using Space = std::map<std::string, Value>;
  enum class Kind { undefined, data, space, macro, function };

  Value() = default;  // undefined
  explicit Value(Data data) : kind_(Kind::data), data_(std::make_shared<const Data>(std::move(data))) {}
  // A part of what `owner` keeps alive.
  Value(const std::shared_ptr<const Data>& owner, const Data& part)
      : kind_(Kind::data), data_(owner, &part) {}
  static Value undefined(std::string name);
  static Value make_space();
  static Value macro(const Statement& statement);
  static Value function(std::string name);
  static Value method(Value self, std::string name);

  Kind kind() const { return kind_; }
  bool is_undefined() const { return kind_ == Kind::undefined; }
  bool is_data() const { return kind_ == Kind::data; }
  const Data& data() const { return *data_; }
  // An element of a list or dictionary, without a copy.
  Value part(const Data& element) const { return {data_, element}; }
  Space& space() const { return *space_; }
  const Statement* macro() const { return macro_; }
  const std::string& name() const { return name_; }
  const Value* self() const { return self_.get(); }

  bool is_string() const { return is_data() && data_->is_string(); }
  bool is_list() const { return is_data() && data_->is_array(); }
  bool is_dictionary() const { return is_data() && data_->is_object(); }
  bool is_number() const { return is_data() && (data_->is_number() || data_->is_boolean()); }
  // Whole numbers, and booleans as 0 and 1.
  bool is_whole() const { return is_data() && (data_->is_number_integer() || data_->is_boolean()); }
  int64_t whole() const { return data_->is_boolean() ? data_->get<bool>() : data_->get<int64_t>(); }
  const std::string& string() const { return data_->get_ref<const std::string&>(); }

 private:
  Kind kind_ = Kind::undefined;
  std::shared_ptr<const Data> data_;
  std::shared_ptr<Space> space_;
  std::shared_ptr<const Value> self_;
  const Statement* macro_ = nullptr;
  std::string name_;
};

bool truth(const Value& value);
bool equal(const Value& a, const Value& b);
std::string type_name(const Value& value);

// As Python's str() and repr() write it.
std::string to_text(const Value& value);
std::string to_repr(const Data& data);

// As Python's json.dumps writes it; `indent` < 0: on one line.
std::string to_json_text(const Data& data, int indent, bool ascii, bool sort_keys, int depth = 0);

}  // namespace formwork::chat
