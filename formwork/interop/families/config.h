// A config.json as a family reads it: each key that is asked for counts as understood, and `finish` refuses
// the first that nobody asked for and that may change what the model computes.
#pragma once
#include <set>
#include <string>
#include <vector>

#include "formwork/core/options.h"

namespace formwork {

class Config {
 public:
  Config(Json json, std::string where);

  // A key that is absent or null has no value. Asking for a value without a fallback requires it.
  bool has(const std::string& key) const { return find(key) != nullptr; }
  int64_t integer(const std::string& key) const;
  int64_t integer(const std::string& key, int64_t fallback) const;
  // A count of layers that are written down one by one: at most as many as a model may have.
  int64_t layers(const std::string& key) const;
  double number(const std::string& key) const;
  double number(const std::string& key, double fallback) const;
  bool flag(const std::string& key, bool fallback) const;
  std::string text(const std::string& key, const std::string& fallback) const;
  // The value, or null (no pointer).
  const Json* find(const std::string& key) const;
  // The same object below a key, read as another config; `where` names it.
  Config below(const std::string& key) const;

  // Refuses any value of `key` but this one: "expected VALUE, found ...: WHY".
  void require(const std::string& key, const Json& value, const std::string& why) const;
  // Keys that the family knows and that change nothing in evaluation.
  void skip(const std::vector<std::string>& keys) const;
  // Keys with a value that nobody asked for and that are not known to be harmless.
  std::vector<std::string> unread() const;
  void finish() const;

  const std::string& where() const { return where_; }
  const Json& json() const { return json_; }

 private:
  [[noreturn]] void wrong(const std::string& key, const char* expected) const;
  const Json& must(const std::string& key) const;

  Json json_;
  std::string where_;
  mutable std::set<std::string> read_;
};

// Formwork's name of an activation that transformers calls by `config[key]`, and back.
std::string activation_of(const Config& config, const std::string& key, const std::string& fallback);
std::string their_activation(const std::string& ours);

// The position part of a rotary model: base, scaling, and which share of a head's channels turns
// ("rope_parameters", or the older "rope_theta", "rope_scaling" and "partial_rotary_factor"). `layers` picks
// one kind of layer where the parameters stand by kind.
Json rotary_of(const Config& config, double base = 10000, double fraction = 1,
               const std::string& layers = "");
// The keys of that in a config, from the options of a rotary part.
Json their_rotary(const Json& position);

}  // namespace formwork
