#include "formwork/report/assets.h"

// Defined by the assembler in the file that cmake/EmbedReport.cmake generates.
#pragma GCC visibility push(hidden)
extern "C" {
extern const char formwork_asset_vega_begin[], formwork_asset_vega_end[];
extern const char formwork_asset_vega_lite_begin[], formwork_asset_vega_lite_end[];
extern const char formwork_asset_vega_embed_begin[], formwork_asset_vega_embed_end[];
extern const char formwork_asset_vega_licences_begin[], formwork_asset_vega_licences_end[];
extern const char formwork_asset_page_style_begin[], formwork_asset_page_style_end[];
extern const char formwork_asset_page_script_begin[], formwork_asset_page_script_end[];
}
#pragma GCC visibility pop

namespace formwork {
namespace {

std::string_view between(const char* begin, const char* end) {
  return {begin, static_cast<size_t>(end - begin)};
}

}  // namespace

ReportAssets report_assets() {
  return {between(formwork_asset_vega_begin, formwork_asset_vega_end),
          between(formwork_asset_vega_lite_begin, formwork_asset_vega_lite_end),
          between(formwork_asset_vega_embed_begin, formwork_asset_vega_embed_end),
          between(formwork_asset_vega_licences_begin, formwork_asset_vega_licences_end),
          between(formwork_asset_page_style_begin, formwork_asset_page_style_end),
          between(formwork_asset_page_script_begin, formwork_asset_page_script_end)};
}

}  // namespace formwork
