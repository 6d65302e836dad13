// How the rows of a comparison are shown: tables, and a page with charts.
#pragma once
#include <string>
#include <vector>

#include "formwork/report/page.h"

namespace formwork::cli {

// The models that were measured, sizes in MB and operations in millions.
Table comparison_table(const std::vector<nlohmann::ordered_json>& rows);
// What methods warn of, a row for each line.
Table warning_table(const std::vector<nlohmann::ordered_json>& rows);
// Methods that do not apply, with the reason.
Table refusal_table(const std::vector<nlohmann::ordered_json>& rows);

Page comparison_page(const std::string& model, const std::vector<nlohmann::ordered_json>& rows,
                     const nlohmann::ordered_json& settings);

}  // namespace formwork::cli
