// A few marked pairs of key and value far apart in filler; then a key: say its value. RULER: What's the Real
// Context Size of Your Long-Context Language Models? (2024).
#include "formwork/core/error.h"
#include "formwork/data/generated/generated_task.h"

namespace formwork {
namespace {

class NeedleTask : public GeneratedTask {
 public:
  std::vector<TaskOption> options() override {
    return {{"length", "symbols before the question", IntegerOption{&length_, 3, 1 << 22}},
            {"needles", "marked pairs among them, of different keys", IntegerOption{&needles_, 1, 4096}},
            {"keys", "different keys", IntegerOption{&keys_, 1, 4096}},
            {"values", "different values", IntegerOption{&values_, 1, 4096}},
            {"filler", "different symbols of the filler", IntegerOption{&filler_, 1, 4096}}};
  }

  void prepare() {
    if (needles_ > keys_)
      fail("task needle: expected at most {} needles (the number of keys), found {}", keys_, needles_);
    if (3 * needles_ > length_)
      fail("task needle: {} needles of 3 symbols need length {}, found {}", needles_, 3 * needles_, length_);
    std::vector<std::string> symbols = {"!", "?"};
    for (const char* kind : {"k", "v", "f"})
      for (const std::string& letter : letters(*kind == 'k' ? keys_ : *kind == 'v' ? values_ : filler_))
        symbols.push_back(kind + letter);
    set_symbols(std::move(symbols));
  }

 private:
  GeneratedSample generate(Random& random) const override {
    const int64_t first_key = id("ka"), first_value = id("va"), first_filler = id("fa");
    const auto keys = random.permutation(keys_);
    // A needle takes one of the places that are left when each is one symbol.
    const int64_t places = length_ - 2 * needles_;
    auto chosen = random.permutation(places);
    chosen.resize(static_cast<size_t>(needles_));
    std::sort(chosen.begin(), chosen.end());
    std::vector<int64_t> row, values;
    for (int64_t place = 0; place < places; ++place) {
      const auto needle = values.size();
      if (needle < chosen.size() && chosen[needle] == place) {
        values.push_back(first_value + random.below(values_));
        row.insert(row.end(), {id("!"), first_key + keys[needle], values.back()});
      } else {
        row.push_back(first_filler + random.below(filler_));
      }
    }
    const auto asked = static_cast<size_t>(random.below(needles_));
    row.insert(row.end(), {id("?"), first_key + keys[asked]});
    return closing_sample(std::move(row), values[asked]);
  }

  int64_t length_ = 64, needles_ = 1, keys_ = 16, values_ = 16, filler_ = 16;
};

const RegisterGeneratedTask<NeedleTask> registered_needle(
    "needle", "Say the value that stood beside the asked key, in long filler.");

}  // namespace
}  // namespace formwork
