// Probes: a model and data become a report.
#pragma once
#include <vector>

#include "formwork/core/factory.h"
#include "formwork/models/model.h"
#include "formwork/report/page.h"

namespace formwork {

class Probe {
 public:
  static const char* kind() { return "probes"; }
  static const char* noun() { return "probe"; }
  virtual ~Probe() = default;
  // Runs the model over the batches -> an object: numbers, and lists of objects, which are shown as tables.
  // Throws Error where the model has not what the probe looks at.
  virtual Json run(Model& model, const std::vector<Record>& batches) const = 0;
  // Whether it looks at the batches.
  virtual bool reads_data() const { return true; }
  // What a page shows of a report beside its numbers and lists.
  virtual void draw(Page& page, const Json& report) const {}
};

template <>
class Registry<Probe> : public Factory<Probe> {};

}  // namespace formwork
