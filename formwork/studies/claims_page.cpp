#include "formwork/studies/claims_page.h"

#include "formwork/studies/system.h"

namespace formwork {

Table claims_table(const std::vector<Claim>& claims) {
  Table table({{"claim"}, {"published"}, {"here", "", ".4g"}, {"expected"}, {"holds"}});
  for (const auto& claim : claims) table.add(claim.to_json());
  return table;
}

Page claims_page(const Json& facts, const std::vector<Claim>& claims, const std::vector<Chart>& charts) {
  const auto& system = require_system(facts.at("system").get<std::string>());
  Page page(system.name + ": what was published, and what is measured here");
  page.text(fmt::format("{} ({}). {}", system.paper.title, system.paper.year, system.claim));
  if (facts.at("scale").get<double>() < 1)
    page.text("A scale below 1 tries the recipe; its claims are meant for scale 1.");
  page.table(claims_table(claims), "Claims");
  for (const auto& chart : charts) page.chart(chart);
  auto settings = facts;
  settings.erase("stages");
  page.settings(settings);
  Table stages({{"stage"}, {"seconds", "s", ".1f"}, {"from cache"}});
  for (const auto& stage : facts.at("stages")) stages.add(stage);
  page.folded_table(stages, "Stages");
  return page;
}

}  // namespace formwork
