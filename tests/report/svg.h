// Reads the charts of a report back: what stands where.
#pragma once

#include <algorithm>
#include <cctype>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "imgcap/report/chart.h"

namespace tests {

struct SvgElement {
  std::string name;
  std::map<std::string, std::string> attributes;
  std::string text;  // up to the next tag

  std::string operator[](const std::string& attribute) const {
    const auto found = attributes.find(attribute);
    return found == attributes.end() ? "" : found->second;
  }
  double number(const std::string& attribute) const { return std::stod(attributes.at(attribute)); }
};

inline std::vector<SvgElement> svg_elements(const std::string& svg) {
  std::vector<SvgElement> all;
  for (size_t at = svg.find('<'); at != std::string::npos; at = svg.find('<', at)) {
    size_t end = svg.find('>', at);
    const std::string tag = svg.substr(at + 1, end - at - 1);
    at = end + 1;
    if (tag.starts_with("/")) continue;
    SvgElement element;
    element.name = tag.substr(0, tag.find_first_of(" /"));
    for (size_t equals = tag.find("=\""); equals != std::string::npos; equals = tag.find("=\"", equals + 1)) {
      const size_t begin = tag.rfind(' ', equals) + 1, quote = tag.find('"', equals + 2);
      element.attributes[tag.substr(begin, equals - begin)] = tag.substr(equals + 2, quote - equals - 2);
    }
    element.text = svg.substr(at, svg.find('<', at) - at);
    all.push_back(std::move(element));
  }
  return all;
}

// A number beside an axis, and the place of its line.
struct Tick {
  std::string label;
  double value = 0, at = 0;
};

struct DrawnSeries {
  std::string name;                       // by the legend
  std::vector<imgcap::Point> line, dots;  // in the drawing's units
  bool dot_in_legend = false;
  double legend_at = 0;
};

// A chart as a reader sees it.
struct DrawnChart {
  double left = 0, right = 0, top = 0,
         bottom = 0;  // of the frame: where lines of the grid end, and the x axis
  std::vector<Tick> x, y;
  std::string title, x_label, y_label;
  double x_label_at = 0, y_label_at = 0;
  std::vector<DrawnSeries> series;

  // Where a value belongs by the numbers beside the axis.
  static double place(const std::vector<Tick>& ticks, double value) {
    if (ticks.size() < 2) throw std::runtime_error("an axis with fewer than two numbers");
    const Tick &a = ticks.front(), &b = ticks.back();
    return a.at + (value - a.value) / (b.value - a.value) * (b.at - a.at);
  }
  double across(double value) const { return place(x, value); }
  double down(double value) const { return place(y, value); }
};

inline std::vector<imgcap::Point> svg_points(const std::string& text) {
  std::vector<imgcap::Point> points;
  for (size_t at = 0; at < text.size();) {
    const size_t comma = text.find(',', at), end = std::min(text.find(' ', at), text.size());
    points.push_back(
        {std::stod(text.substr(at, comma - at)), std::stod(text.substr(comma + 1, end - comma - 1))});
    at = end + 1;
  }
  return points;
}

inline double number_of(std::string label) {
  std::erase(label, ',');
  return std::stod(label);
}

// Throws where something is missing or stands in two places.
inline DrawnChart read_chart(const std::string& svg) {
  DrawnChart chart;
  const std::vector<SvgElement> all = svg_elements(svg);
  chart.title = all.at(0)["aria-label"];
  for (size_t i = 1; i < all.size(); ++i) {
    const SvgElement& e = all[i];
    const std::string kind = e["class"];
    if (e.name == "line" && kind == "grid") {
      const SvgElement& label = all.at(i + 1);
      if (label["text-anchor"] != "end" || e.number("y1") != e.number("y2"))
        throw std::runtime_error("a line of the grid without its number");
      chart.y.push_back({label.text, number_of(label.text), e.number("y1")});
      chart.left = e.number("x1"), chart.right = e.number("x2");
    } else if (e.name == "line" && kind == "axis" && e.number("x1") == e.number("x2")) {
      const SvgElement& label = all.at(i + 1);
      if (label["text-anchor"] != "middle" || label.number("x") != e.number("x1"))
        throw std::runtime_error("a tick without its number");
      chart.x.push_back({label.text, number_of(label.text), e.number("x1")});
    } else if (e.name == "line" && kind == "axis") {
      chart.bottom = e.number("y1");
    } else if (e.name == "text" && kind == "label") {
      const std::string turned = e["transform"];  // "translate(13 135.0) rotate(-90)"
      if (turned.empty())
        chart.x_label = e.text, chart.x_label_at = e.number("x");
      else
        chart.y_label = e.text, chart.y_label_at = std::stod(turned.substr(turned.find(' ')));
    } else if (kind.starts_with("line series") && e.name == "line") {
      if (kind != "line series" + std::to_string(chart.series.size()))
        throw std::runtime_error("the legend is out of order");
      chart.series.emplace_back();
      chart.series.back().legend_at = e.number("x1");
      chart.series.back().dot_in_legend = all.at(i + 1).name == "circle";
      chart.series.back().name = all.at(i + (chart.series.back().dot_in_legend ? 2 : 1)).text;
      if (chart.series.back().dot_in_legend) ++i;
    } else if (kind.starts_with("line series")) {
      chart.series.at(std::stoul(kind.substr(11))).line = svg_points(e["points"]);
    } else if (kind.starts_with("dot series")) {
      chart.series.at(std::stoul(kind.substr(10))).dots.push_back({e.number("cx"), e.number("cy")});
    }
  }
  return chart;
}

}  // namespace tests
