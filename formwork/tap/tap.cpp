#include "formwork/tap/tap.h"

#include "formwork/core/error.h"

namespace formwork {

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

void TapBoard::add(Ear ear) {
  hot_[static_cast<size_t>(ear.slot)] = 1;
  ears_.push_back(std::move(ear));
}

void TapBoard::listen(Slot slot, Listener listener) { add({slot, std::move(listener), false}); }

void TapBoard::attach(Slot slot, Listener part) { add({slot, std::move(part), true}); }

bool TapBoard::listens_below(const std::string& path) const {
  return std::any_of(ears_.begin(), ears_.end(), [&](const Ear& ear) {
    const auto& name = names_->name(ear.slot);
    return !ear.attached && name.size() > path.size() && name.starts_with(path) && name[path.size()] == '.';
  });
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
  for (const auto& ear : ears_)
    if (ear.slot == slot) x = ear.listener(ctx, event, x);
  return x;
}

}  // namespace formwork
