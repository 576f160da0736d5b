#include "tools/report/plot.h"

#include <algorithm>
#include <cmath>

#include "tools/quantities.h"

namespace thimble::tools {
namespace {

struct Range {
  double low = INFINITY, high = -INFINITY;
  void Add(double value) { low = std::min(low, value), high = std::max(high, value); }
  // Of `count` places; the middle one where all values are equal.
  int Place(double value, int count) const {
    if (!(high > low)) return count / 2;
    return std::clamp(static_cast<int>(std::lround((value - low) / (high - low) * (count - 1))), 0,
                      count - 1);
  }
};

// Short, as an axis has it: "0.0123", "7.35M", "12.4".
std::string Short(double value) {
  const double size = std::abs(value);
  if (size >= 1e9) return Decimal(value / 1e9, 2) + "G";
  if (size >= 1e6) return Decimal(value / 1e6, 2) + "M";
  if (size >= 1e4) return Decimal(value / 1e3, 1) + "k";
  return Decimal(value, size >= 100 ? 0 : 2);
}

}  // namespace

std::string Plot(const std::vector<PlotPoint>& points, const PlotSettings& settings) {
  Range x, y;
  std::vector<PlotPoint> drawn;
  for (const auto& point : points) {
    if (!std::isfinite(point.x) || !std::isfinite(point.y)) continue;
    x.Add(point.x), y.Add(point.y);
    drawn.push_back(point);
  }
  if (drawn.empty()) return "";
  std::vector<std::string> grid(settings.rows, std::string(settings.columns, ' '));
  for (const auto& point : drawn)
    grid[settings.rows - 1 - y.Place(point.y, settings.rows)][x.Place(point.x, settings.columns)] =
        point.mark;
  const std::string high = Decimal(y.high, settings.digits), low = Decimal(y.low, settings.digits);
  const size_t margin = std::max(high.size(), low.size());
  std::string text = settings.y + "\n";
  for (int row = 0; row < settings.rows; ++row) {
    const std::string label = row == 0 ? high : row + 1 == settings.rows ? low : "";
    std::string line = std::string(margin - label.size(), ' ') + label + " |" + grid[row];
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  text += std::string(margin + 1, ' ') + "+" + std::string(settings.columns, '-') + "\n";
  const std::string left = Short(x.low), right = Short(x.high);
  const int gap = settings.columns - static_cast<int>(left.size() + right.size() + settings.x.size());
  const std::string before(std::max(1, gap / 2), ' '), after(std::max(1, gap - gap / 2), ' ');
  text += std::string(margin + 2, ' ') + left + before + settings.x + after + right + "\n";
  if (!settings.legend.empty()) text += std::string(margin + 2, ' ') + settings.legend + "\n";
  return text;
}

}  // namespace thimble::tools
