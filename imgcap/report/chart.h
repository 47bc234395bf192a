// Line charts as inline SVG.
#pragma once

#include <string>
#include <vector>

namespace imgcap {

struct Point {
  double x = 0, y = 0;
};

struct Series {
  std::string name;           // for the legend
  std::vector<Point> points;  // by rising x
  bool markers = false;       // a dot a point: for few of them
};

struct Chart {
  std::string title;             // also what a screen reader says
  std::string x_label, y_label;  // with the unit
  std::vector<Series> series;    // drawn as the style's classes series0 to series3, and these again
  double x_low = 0, x_high = 0;  // what the x axis covers besides the points; where these are equal, nothing
  bool from_zero = false;        // the y axis begins at 0
  bool whole_x = true;           // no ticks between whole numbers of the x axis
};

// An <svg> with axes, ticks at round numbers, and a legend. Points have to be finite. A series of one point
// is a dot.
std::string render_chart(const Chart& chart);

// At most `most` points, each the mean of equally many neighbours (the last may be of fewer).
std::vector<Point> thinned(const std::vector<Point>& points, size_t most);

// The mean of each point and its neighbours: up to `half` on each side; near the beginning, where curves are
// steep, equally many on both sides.
std::vector<Point> smoothed(const std::vector<Point>& points, size_t half);

// Round numbers (1, 2 or 5 times a power of ten apart, at least `apart`) within low..high, about `count` of
// them, never none.
std::vector<double> round_ticks(double low, double high, int count, double apart = 0);

}  // namespace imgcap
