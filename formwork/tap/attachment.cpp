#include "formwork/tap/attachment.h"

namespace formwork {

FORMWORK_KIND(Attachment);

void attach_parts(const Build& root) {
  auto& inventory = root.inventory();
  for (const auto& [pattern, json] : inventory.spec.attach.items()) {
    const auto spec = PartSpec::from_json(json, "attach." + pattern);
    for (const Slot slot : inventory.taps.match(pattern)) {
      const std::string tap = inventory.taps.name(slot);
      Build build = root.at(tap + ".attached");
      build.in = build.out = inventory.tap_axes[static_cast<size_t>(slot)];
      if (build.in.size == 0) fail("attach '{}': tap '{}' has no named width to attach to", pattern, tap);
      inventory.attachments.push_back(Registry<Attachment>::make(build, spec));
      inventory.attached.emplace_back(slot, inventory.attachments.back().get());
    }
  }
}

}  // namespace formwork
