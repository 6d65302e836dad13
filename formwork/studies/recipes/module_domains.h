// What ModuleFormer's modules do over two domains of text (Shakespeare and programs): how evenly they are
// used and how differently by the domains; pruning after the load was concentrated on one domain; new modules
// for a new domain beside frozen old ones. Sizes: 2 layers of width 64, 8 attention modules and 8 experts, 2
// of each for a token.
#pragma once
#include "formwork/studies/study.h"

namespace formwork {

struct ModuleOptions {
  int64_t domain_steps = 600, concentration_steps = 200, most_growth = 400;
  double balance = 0.1, concentration = 0.5, grown_penalty = 1, growth_rate = 2e-3;
  void describe(Fields& f) {
    f.integer("domain_steps", domain_steps, "updates of each model of modules", 1, 1000000);
    f.integer("concentration_steps", concentration_steps, "updates with the load-concentration loss", 1,
              1000000);
    f.integer("most_growth", most_growth, "updates of new modules, and of fine-tuning, at most", 1, 1000000);
    f.number("balance", balance, "weight of the mutual-information loss", 0, 1e6);
    f.number("concentration", concentration, "weight of the load-concentration loss", 1e-6, 1e6);
    f.number("grown_penalty", grown_penalty, "weight of the penalty on the router's rows of new modules", 0,
             1e6);
    f.number("growth_rate", growth_rate, "learning rate of new modules, and of fine-tuning", 0, 1e3);
  }
};

std::vector<Claim> module_claims(StudyContext& ctx, const ModuleOptions& options);

}  // namespace formwork
