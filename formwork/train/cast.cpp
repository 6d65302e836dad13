#include "formwork/train/cast.h"

#include "formwork/core/autocast.h"

namespace formwork {
namespace {

template <class Table>
auto& role_of(Table& models, const std::string& role) {
  const auto found = models.find(role);
  if (found != models.end()) return found->second;
  std::vector<std::string> roles;
  for (const auto& [name, model] : models) roles.push_back(name);
  fail("this run has no model in the role '{}'; there are: {}", role, fmt::join(roles, ", "));
}

constexpr const char* kStream = "residual";

}  // namespace

Cast& Cast::set(const std::string& role, std::shared_ptr<Model> model) {
  models_[role] = std::move(model);
  return *this;
}

const std::shared_ptr<Model>& Cast::at(const std::string& role) const { return role_of(models_, role); }

// In force while a model is asked: one that is only read has no gradients and no autocast.
class Passage::Reading {
 public:
  explicit Reading(const Passage& passage) {
    if (passage.trains_) return;
    no_grad_.emplace();
    exact_.emplace(Autocast{});
  }

 private:
  std::optional<at::NoGradGuard> no_grad_;
  std::optional<AutocastGuard> exact_;
};

Passage::Passage(Model& model, const Record& inputs, Context* training)
    : model_(model),
      inputs_(inputs),
      own_(model.make_context()),
      ctx_(training),
      trains_(training != nullptr),
      last_(static_cast<int64_t>(model.segments().size())) {}

const Stream& Passage::before(int64_t segment) {
  const Reading reading(*this);
  auto& ctx = trains_ ? *ctx_ : own_;
  if (streams_.empty()) streams_.push_back(model_.start(ctx, inputs_));
  while (static_cast<int64_t>(streams_.size()) <= segment) {
    streams_.push_back(streams_.back());
    const auto at = static_cast<int64_t>(streams_.size()) - 2;
    model_.run(ctx, at, at + 1, streams_.back());
  }
  const auto& streams = streams_.at(static_cast<size_t>(segment));
  const auto found = streams.find(kStream);
  if (found == streams.end())
    fail("'{}': expected a model with the stream '{}', as decoders and encoders have it",
         model_.spec().model.type, kStream);
  return found->second;
}

const Record& Passage::out() {
  if (!out_.empty()) return out_;
  before(last_);
  const Reading reading(*this);
  model_.finish(trains_ ? *ctx_ : own_, streams_.back(), out_);
  return out_;
}

Stream Passage::run(int64_t first, int64_t last, const Stream& from) {
  const Reading reading(*this);
  Streams streams = {{kStream, from}};
  model_.run(trains_ ? *ctx_ : own_, first, last, streams);
  return streams.at(kStream);
}

Tensor Passage::in_step(const MixingSite& site, const Stream& from,
                        const std::function<Tensor(const Tensor&)>& work) {
  const Reading reading(*this);
  auto& ctx = trains_ ? *ctx_ : own_;
  const LayoutScope scope(ctx, from.layout);
  return work(site.step->mixer_input(ctx, from.x));
}

Tensor Passage::mixed(const MixingSite& site, const Stream& from) {
  return in_step(site, from,
                 [&](const Tensor& x) { return site.mixer().forward(trains_ ? *ctx_ : own_, x); });
}

Tensor Passage::matrices(const MixingSite& site, const Stream& from) {
  return in_step(site, from, [&](const Tensor& x) {
    const auto& types = model_.inventory().types;
    const auto type = types.find(site.path());
    auto& mixer =
        require_facet<MatrixFacet>(site.mixer(), site.path(), type == types.end() ? "" : type->second);
    return mixer.matrix(trains_ ? *ctx_ : own_, x).weights;
  });
}

CastPass::CastPass(const Cast& others, const std::string& role, Model& model, Context& ctx, const Batch& part,
                   const BatchSize& whole)
    : part_(part), whole_(whole) {
  for (const auto& [name, other] : others.models()) passages_.try_emplace(name, *other, part.inputs, nullptr);
  passages_.try_emplace(role, model, part.inputs, &ctx);
}

Passage& CastPass::of(const std::string& role) { return role_of(passages_, role); }

std::vector<MixingSite> trained_sites(const Model& model) {
  auto sites = mixing_sites(model);
  std::erase_if(sites, [&](const MixingSite& site) {
    const auto& params = model.inventory().params;
    return std::none_of(params.begin(), params.end(), [&](const Param& param) {
      return param.trainable() && param.name.starts_with(site.path() + ".");
    });
  });
  return sites;
}

}  // namespace formwork
