// Options name, document and bound every setting of a part once. From that one place come parsing
// (unknown or out-of-range keys are errors that name the nearest right key), printing, the docs and the
// JSON schema.
//
//   struct Options {
//     int64_t heads = 4;
//     void describe(Fields& f) { f.integer("heads", heads, "query heads", 1, 1024); }
//   };
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "formwork/core/error.h"
#include "formwork/core/json.h"

namespace formwork {

// A part named inside the options of another: {"type": "attention", "heads": 4}, or just "attention".
// An empty type means that the part is absent.
struct PartSpec {
  std::string type;
  Json options = Json::object();

  PartSpec() = default;
  PartSpec(std::string type_) : type(std::move(type_)) {}
  PartSpec(const char* type_) : type(type_) {}
  PartSpec(std::string type_, Json options_) : type(std::move(type_)), options(std::move(options_)) {}
  explicit operator bool() const { return !type.empty(); }
  static PartSpec from_json(const Json& json, std::string_view where);
  Json to_json() const;
};

// A visitor over the fields of an Options struct. `low` and `high` are inclusive bounds.
class Fields {
 public:
  virtual ~Fields() = default;
  virtual void integer(const char* name, int64_t& value, const char* doc, int64_t low = 0,
                       int64_t high = int64_t{1} << 40) = 0;
  virtual void number(const char* name, double& value, const char* doc, double low = -1e300,
                      double high = 1e300) = 0;
  virtual void flag(const char* name, bool& value, const char* doc) = 0;
  virtual void text(const char* name, std::string& value, const char* doc) = 0;
  virtual void choice(const char* name, std::string& value, const std::vector<std::string>& choices,
                      const char* doc) = 0;
  // `kind` is the registry's name ("mixers"); a null part is allowed where `optional`.
  virtual void part(const char* name, PartSpec& value, const char* kind, const char* doc,
                    bool optional = false) = 0;
  virtual void parts(const char* name, std::vector<PartSpec>& value, const char* kind, const char* doc) = 0;
  virtual void numbers(const char* name, std::vector<double>& value, const char* doc) = 0;
  virtual void json(const char* name, Json& value, const char* doc) = 0;
};

// Reads fields from a JSON object; finish() rejects keys that no field claimed.
class FieldReader final : public Fields {
 public:
  FieldReader(const Json& object, std::string where);
  void integer(const char*, int64_t&, const char*, int64_t, int64_t) override;
  void number(const char*, double&, const char*, double, double) override;
  void flag(const char*, bool&, const char*) override;
  void text(const char*, std::string&, const char*) override;
  void choice(const char*, std::string&, const std::vector<std::string>&, const char*) override;
  void part(const char*, PartSpec&, const char*, const char*, bool) override;
  void parts(const char*, std::vector<PartSpec>&, const char*, const char*) override;
  void numbers(const char*, std::vector<double>&, const char*) override;
  void json(const char*, Json&, const char*) override;
  void finish() const;

 private:
  const Json* find(const char* name);
  [[noreturn]] void wrong(const char* name, std::string_view expected, const Json& found) const;

  const Json& object_;
  std::string where_;
  std::vector<std::string> known_;
};

// Writes every field into a JSON object; with `schema`, writes {type, doc, default, minimum, ...} instead.
class FieldWriter final : public Fields {
 public:
  explicit FieldWriter(bool schema = false) : schema_(schema) {}
  void integer(const char*, int64_t&, const char*, int64_t, int64_t) override;
  void number(const char*, double&, const char*, double, double) override;
  void flag(const char*, bool&, const char*) override;
  void text(const char*, std::string&, const char*) override;
  void choice(const char*, std::string&, const std::vector<std::string>&, const char*) override;
  void part(const char*, PartSpec&, const char*, const char*, bool) override;
  void parts(const char*, std::vector<PartSpec>&, const char*, const char*) override;
  void numbers(const char*, std::vector<double>&, const char*) override;
  void json(const char*, Json&, const char*) override;
  Json result = Json::object();

 private:
  void put(const char* name, const char* type, Json value, const char* doc, Json extra = Json::object());
  bool schema_;
};

template <class Options>
Options parse_options(const Json& object, std::string where) {
  Options options;
  FieldReader reader(object, std::move(where));
  options.describe(reader);
  reader.finish();
  return options;
}

template <class Options>
Json options_json(Options options, bool schema = false) {
  FieldWriter writer(schema);
  options.describe(writer);
  return writer.result;
}

}  // namespace formwork
