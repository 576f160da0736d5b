// The document drawn: one self-contained page. The page itself lies in tools/report/page (HTML, CSS,
// JavaScript with D3), is put together when the program is built, and draws in the browser.
#pragma once
#include <nlohmann/json_fwd.hpp>
#include <string>

namespace thimble::tools {

// report.html, below 2 MB: of a study with more trials than fit those that are not drawn alone are left out,
// thinned ones first, and the stage says how many ("left_out").
std::string ReportHtml(nlohmann::ordered_json document);

}  // namespace thimble::tools
