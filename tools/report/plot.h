// Points drawn with characters.
#pragma once
#include <string>
#include <vector>

namespace thimble::tools {

struct PlotPoint {
  double x = 0, y = 0;
  char mark = 'o';  // of points in one place the last one's is seen
};

struct PlotSettings {
  int columns = 64, rows = 16;  // inside the frame
  int digits = 4;               // of y
  std::string x, y;             // what they are
  std::string legend{};         // "# front  o other"; a line below
};

// A frame with the lowest and the highest value of each axis; points that are not finite are left out. Empty
// without any.
std::string Plot(const std::vector<PlotPoint>& points, const PlotSettings& settings);

}  // namespace thimble::tools
