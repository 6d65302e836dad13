// Gives a head that shares the embedding's matrix a copy of its own, so that the two can be compressed alone.
#include "formwork/transforms/transform.h"

namespace formwork {
namespace {

class Untie final : public Transform {
 public:
  struct Options {
    void describe(Fields&) {}
  };
  explicit Untie(const Options&) {}
  std::vector<Json> budgets() const override { return {}; }  // it makes nothing smaller
  bool reads_data() const override { return false; }
  TransformResult apply(const std::shared_ptr<Model>& model, const Calibration&) override {
    if (model->inventory().ties.empty()) fail("untie: the model shares no matrix");
    Edit edit(*model);
    edit.untie();
    edit.record("untie", Json::object());
    return {edit.finish(), Json::object()};
  }
};

FORMWORK_PART(Transform, Untie, "untie", "the head gets a matrix of its own");

}  // namespace
}  // namespace formwork
