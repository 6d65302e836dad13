// The files that every report page carries, compiled into the library.
#pragma once
#include <string_view>

namespace formwork {

struct ReportAssets {
  std::string_view vega, vega_lite, vega_embed;  // scripts
  std::string_view vega_licences;                // plain text
  std::string_view page_style, page_script;
};

ReportAssets report_assets();

}  // namespace formwork
