#include "formwork/tap/tap.h"

#include "formwork/core/error.h"

namespace formwork {

bool matches(const std::string& pattern, const std::string& name) {
  size_t p = 0, n = 0, star = std::string::npos, mark = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      mark = n;
    } else if (p < pattern.size() && pattern[p] == name[n]) {
      ++p, ++n;
    } else if (star != std::string::npos) {
      p = star + 1;
      n = ++mark;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

Slot TapNames::add(const std::string& name) {
  names_.push_back(name);
  return static_cast<Slot>(names_.size() - 1);
}

std::vector<Slot> TapNames::match(const std::string& pattern) const {
  std::vector<Slot> slots;
  for (size_t i = 0; i < names_.size(); ++i)
    if (matches(pattern, names_[i])) slots.push_back(static_cast<Slot>(i));
  if (slots.empty()) fail_unknown("tap", pattern, names_);
  return slots;
}

void TapBoard::listen(Slot slot, Listener listener) {
  hot_[static_cast<size_t>(slot)] = 1;
  listeners_.emplace_back(slot, std::move(listener));
}

void TapBoard::listen(const std::string& pattern, Listener listener) {
  for (const Slot slot : names_->match(pattern)) listen(slot, listener);
}

void TapBoard::read(const std::string& pattern, std::function<void(const TapEvent&, const Tensor&)> reader) {
  listen(pattern, [reader = std::move(reader)](Context&, const TapEvent& event, const Tensor& x) {
    reader(event, x);
    return x;
  });
}

void TapBoard::start_pass() { visits_.assign(hot_.size(), 0); }

Tensor TapBoard::deliver(Context& ctx, Slot slot, Tensor x) {
  if (visits_.empty()) start_pass();
  const TapEvent event{slot, names_->name(slot), visits_[static_cast<size_t>(slot)]++};
  for (const auto& [where, listener] : listeners_)
    if (where == slot) x = listener(ctx, event, x);
  return x;
}

}  // namespace formwork
