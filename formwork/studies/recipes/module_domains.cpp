#include "formwork/studies/recipes/module_domains.h"

#include "formwork/data/random.h"
#include "formwork/studies/recipes/char_decoder.h"
#include "formwork/studies/recipes/small_models.h"
#include "formwork/studies/recipes/two_domains.h"
#include "formwork/train/trainer.h"
#include "formwork/transforms/modules.h"

namespace formwork {
namespace {

constexpr int64_t kDomainLength = 64, kModules = 8, kGrown = 4;
constexpr double kRate = 2e-3;

Spec module_spec(double balance) {
  const Json router = {{"active", 2},
                       {"gate", "mlp"},
                       {"router_hidden", 64},
                       {"renormalize", false},
                       {"balance", balance},
                       {"balance_loss", "mi"},
                       {"z", 0}};
  Json mixer = router, channel = router;
  mixer.update({{"type", "stick_breaking"}, {"modules", kModules}, {"heads", 2}, {"head_width", 16}});
  channel.update({{"type", "experts"},
                  {"experts", kModules},
                  {"hidden", 128},
                  {"gated", false},
                  {"activation", "gelu_tanh"},
                  {"start", "inverse_fan_in"}});
  auto spec = small_spec("decoder", 64, 2, {{"norm", "layer_norm"}, {"mixer", mixer}, {"channel", channel}});
  spec.model.options["norm"] = "layer_norm", spec.model.options["tie"] = false;
  return spec;
}

// A copy with other options of every router.
std::shared_ptr<Model> with_routers(const Model& from, const Json& options) {
  return rebuilt(from, [&](Spec& spec) {
    for (auto& layer : spec.model.options["layers"]["pattern"])
      for (const char* part : {"mixer", "channel"}) layer[part].update(options);
  });
}

// Held-out rows of a task.
Calibration held_out(const Task& task, int64_t rows) {
  Calibration data;
  constexpr int64_t kBatch = 32;
  for (int64_t first = 0; first < std::min(rows, task.evaluation_samples()); first += kBatch)
    data.batches.push_back(task.evaluation_batch(kBatch, first / kBatch).inputs);
  return data;
}

double entropy(const Tensor& p) { return -p.xlogy(p).sum().item<double>(); }

class ModuleStudy {
 public:
  ModuleStudy(StudyContext& ctx, const ModuleOptions& options)
      : ctx_(ctx), options_(options), tasks_(two_domains(ctx, kDomainLength)) {}

  std::vector<Claim> modularity() const;
  std::vector<Claim> pruning() const;
  std::vector<Claim> extension() const;

 private:
  Trained trained(const std::string& name, const PartSpec& task, double balance) const {
    return ctx_.trained("modules-" + name, module_spec(balance), task, training(options_.domain_steps));
  }
  TrainOptions training(int64_t steps) const {
    TrainOptions options;
    options.steps = ctx_.scaled(steps), options.rate = kRate, options.evaluate_batch = 64;
    options.quiet = ctx_.options().quiet;
    return options;
  }
  // Of a training that the context does not keep.
  TrainOptions own_training(int64_t steps) const {
    auto options = training(steps);
    options.seed = ctx_.options().seed;
    return options;
  }
  std::unique_ptr<Task> prepared(const PartSpec& task, Model& model) const {
    auto made = Registry<Task>::make(task);
    made->prepare(model.inventory().spec.meta);
    return made;
  }
  double loss(Model& model, const PartSpec& task) const {
    return evaluated(ctx_, model, *prepared(task, model), 128, "loss");
  }
  Json load(Model& model) const;
  Json prune(const Model& base) const;
  double loss_of_random_half(const Model& model, int64_t draw) const;
  Json forgotten(Model& model, const char* name, const std::vector<double>& targets, const Json& train_from,
                 int64_t every) const;
  Json extend(const Model& plays, Model& code) const;

  StudyContext& ctx_;
  const ModuleOptions& options_;
  TwoDomains tasks_;
};

// Means over the routers: how even the load is, H(m) / ln n, and I(domain; m) = H(m) - mean H(m | domain), by
// P(m | domain), the share of module m in the choices of held-out tokens of the domain.
Json ModuleStudy::load(Model& model) const {
  const auto pools = module_pools(model, "*", "moduleformer");
  const auto use = [&](const PartSpec& task) {
    return module_use(model, pools, held_out(*prepared(task, model), ctx_.scaled(128, 4)));
  };
  const auto plays = use(tasks_.shakespeare), code = use(tasks_.code);
  double even = 0, shared = 0;
  const auto count = static_cast<double>(pools.size());
  for (size_t i = 0; i < pools.size(); ++i) {
    const auto a = plays[i].chosen / plays[i].chosen.sum(), b = code[i].chosen / code[i].chosen.sum();
    const double total = entropy((a + b) / 2);
    even += total / std::log(static_cast<double>(a.numel())) / count;
    shared += (total - (entropy(a) + entropy(b)) / 2) / count;
  }
  return {{"even", even}, {"shared", shared}};
}

std::vector<Claim> ModuleStudy::modularity() const {
  const auto measured = [&](const char* name, double balance) {
    const auto model = trained(name, tasks_.both, balance);
    return ctx_.stage(fmt::format("load of {}", name), {{"model", model.key}},
                      [&] { return load(*model.model); });
  };
  const auto with = measured("both", options_.balance), without = measured("both-unbalanced", 0);
  const double even = number(with, "even");
  return {at_least("evenness of the load, H(m) / ln n", "modules are used alike", even, 0.9),
          below("evenness of the load, without the balancing loss less with it", "below 0",
                number(without, "even") - even, 0),
          reported("information of the module about the domain, nats", "not given", number(with, "shared")),
          reported("information of the module about the domain, without the balancing loss, nats",
                   "not given", number(without, "shared"))};
}

double ModuleStudy::loss_of_random_half(const Model& model, int64_t draw) const {
  Edit edit(model);
  Random random{ctx_.seed(), static_cast<uint64_t>(draw)};
  for (const auto& pool : module_pools(model, "*", "moduleformer")) {
    auto order = random.permutation(edit.axis_size(pool.axis));
    order.resize(order.size() / 2);
    std::sort(order.begin(), order.end());
    edit.select(pool.axis, at::tensor(order));
  }
  return loss(*edit.finish(), tasks_.code);
}

// Concentrates the load on the programs, then removes half of the modules of each pool.
Json ModuleStudy::prune(const Model& base) const {
  const auto model =
      with_routers(base, {{"balance_loss", "concentration"}, {"balance", options_.concentration}});
  const auto task = prepared(tasks_.code, *model);
  train(*model, *task, own_training(options_.concentration_steps));
  const Json options = {{"keep", kModules / 2}};
  const auto data = calibration_rows(ctx_, *task, ctx_.scaled(128, 8));
  Json found = {{"whole", loss(*model, tasks_.code)},
                {"even", number(load(*model), "even")},
                {"less used", loss(*transformed(model, "prune_modules", options, data).model, tasks_.code)}};
  double random = 0;
  constexpr int64_t kDraws = 5;
  for (int64_t draw = 0; draw < kDraws; ++draw)
    random += loss_of_random_half(*model, draw) / static_cast<double>(kDraws);
  found["random"] = random;
  return found;
}

std::vector<Claim> ModuleStudy::pruning() const {
  const auto base = trained("both", tasks_.both, options_.balance);
  const Json settings = {
      {"model", base.key}, {"steps", options_.concentration_steps}, {"weight", options_.concentration}};
  const auto found = ctx_.stage("concentrate and prune", settings, [&] { return prune(*base.model); });
  const auto rise = [&](const char* name) { return number(found, name) - number(found, "whole"); };
  return {reported("evenness of the load after concentration on programs", "below that before",
                   number(found, "even")),
          reported("rise of the loss on programs without the less used half of the modules", "not given",
                   rise("less used")),
          below("rise without the less used half over without a random half", "below 1",
                ratio_of_rises(rise("less used"), rise("random")), 1)};
}

// Updates on the programs until their loss has come down to each of the targets; the loss on the plays then
// (null: not reached). The loss is looked at every so many updates.
Json ModuleStudy::forgotten(Model& model, const char* name, const std::vector<double>& targets,
                            const Json& train_from, int64_t every) const {
  const auto task = prepared(tasks_.code, model);
  auto options = own_training(options_.most_growth);
  options.rate = options_.growth_rate, options.schedule = PartSpec("constant");
  options.train_from = train_from;
  const auto folder = std::filesystem::path(ctx_.options().cache) / "work" /
                      fmt::format("moduleformer-{}-{}", name, ctx_.seed());
  std::filesystem::remove_all(folder);
  options.folder = folder.string(), options.keep = 1, options.save_every = options.steps;
  Json found = Json::array();
  double code = loss(model, tasks_.code);
  for (const double target : targets) {
    while (code > target && options.stop_after < options.steps) {
      options.resume = options.stop_after > 0;
      options.stop_after = std::min(options.steps, options.stop_after + every);
      train(model, *task, options);
      code = loss(model, tasks_.code);
    }
    found.push_back({{"updates", options.stop_after}, {"code", code}, {"plays", nullptr}});
    if (code <= target) found.back()["plays"] = loss(model, tasks_.shakespeare);
  }
  std::filesystem::remove_all(folder);
  return found;
}

// Shares of the way from the loss on programs of a model of plays to that of a model of programs.
const std::vector<double> kShares = {0.5, 0.75};

Json ModuleStudy::extend(const Model& plays, Model& code) const {
  // What balances the load would bring the tokens of the plays to the new modules too.
  const auto copy = [&] {
    return with_routers(plays, {{"balance", 0}, {"grown_penalty", options_.grown_penalty}});
  };
  const auto grown = transformed(copy(), "grow_modules", {{"count", kGrown}}, {}).model;
  const auto whole = copy();
  const double from = loss(*whole, tasks_.code), to = loss(code, tasks_.code);
  std::vector<double> targets;
  for (const double share : kShares) targets.push_back(from + share * (to - from));
  const Json new_ones = {{"*.modules", kModules}, {"*.experts", kModules}};
  return {{"before", loss(*whole, tasks_.shakespeare)},
          {"modules", forgotten(*grown, "grown", targets, new_ones, 5)},
          {"all", forgotten(*whole, "tuned", targets, Json::object(), 1)}};
}

std::vector<Claim> ModuleStudy::extension() const {
  const auto plays = trained("plays", tasks_.shakespeare, options_.balance);
  const auto code = trained("code", tasks_.code, options_.balance);
  const Json settings = {{"plays", plays.key}, {"code", code.key}, {"options", options_json(options_)}};
  const auto found = ctx_.stage("extend", settings, [&] { return extend(*plays.model, *code.model); });
  const auto rise = [&](const char* name, size_t target) {
    return number(found.at(name).at(target), "plays") - number(found, "before");
  };
  std::vector<Claim> claims;
  for (size_t i = 0; i < kShares.size(); ++i) {
    const auto way = fmt::format("{:g} of the way to programs", kShares[i]);
    claims.push_back(reported(fmt::format("rise of the loss on plays, 4 new modules a pool trained {}", way),
                              "not given", rise("modules", i)));
    claims.push_back(reported(fmt::format("rise of the loss on plays, all weights trained {}", way),
                              "not given", rise("all", i)));
  }
  claims.push_back(at_most("rise of the loss on plays, new modules over all weights, half of the way",
                           "old knowledge stays", ratio_of_rises(rise("modules", 0), rise("all", 0)),
                           1.0 / 3));
  return claims;
}

}  // namespace

std::vector<Claim> module_claims(StudyContext& ctx, const ModuleOptions& options) {
  const ModuleStudy study(ctx, options);
  auto claims = study.modularity();
  for (const auto& more : {study.pruning(), study.extension()})
    claims.insert(claims.end(), more.begin(), more.end());
  return claims;
}

}  // namespace formwork
