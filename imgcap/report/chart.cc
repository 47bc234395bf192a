#include "imgcap/report/chart.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "imgcap/report/html.h"
#include "tensor/format.h"

namespace imgcap {
namespace {

// In the units of the viewBox. Narrow, so that letters stay readable on a phone.
constexpr double kWidth = 440, kHeight = 280, kLeft = 58, kRight = 14, kTop = 34, kBottom = 44;
constexpr size_t kStyles = 4;  // of curves, in the page's style

struct Range {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  void include(double v) { low = std::min(low, v), high = std::max(high, v); }
  // One value alone would have no width.
  void widen(double by) {
    if (!(low <= high)) low = 0, high = 1;
    if (low == high) low -= by, high += by;
  }
};

struct Frame {
  Range x, y;
  double across(double v) const { return kLeft + (v - x.low) / (x.high - x.low) * (kWidth - kLeft - kRight); }
  double down(double v) const {
    return kHeight - kBottom - (v - y.low) / (y.high - y.low) * (kHeight - kTop - kBottom);
  }
};

Frame frame_of(const Chart& chart) {
  Frame frame;
  for (const Series& series : chart.series)
    for (const Point& p : series.points) {
      frame.x.include(p.x);
      frame.y.include(p.y);
    }
  if (chart.from_zero) frame.y.include(0);
  if (chart.x_low != chart.x_high) frame.x.include(chart.x_low), frame.x.include(chart.x_high);
  frame.x.widen(std::max(1.0, std::fabs(frame.x.low) * 1e-6));
  frame.y.widen(frame.y.low == 0 ? 1 : std::fabs(frame.y.low) * 0.1);
  const double air = (frame.y.high - frame.y.low) * 0.05;
  frame.y.high += air;
  if (!(chart.from_zero && frame.y.low >= 0)) frame.y.low -= air;
  return frame;
}

// 20000 -> "20,000", 0.25 -> "0.25", 3e+12 -> "3e+12"
std::string label(double v, double step) {
  if (std::fabs(v) < step * 1e-6) return "0";
  if (std::fabs(v) >= 1e9 || step < 1e-6) return tensor::format("{:.3g}", v);
  if (step >= 1) return grouped(std::llround(v));
  const int digits = std::max(0, static_cast<int>(std::ceil(-std::log10(step) - 1e-9)));
  return tensor::format("{:.{}f}", v, digits);
}

std::string axes(const Chart& chart, const Frame& frame) {
  std::string out;
  const auto ticks_y = round_ticks(frame.y.low, frame.y.high, 5),
             ticks_x = round_ticks(frame.x.low, frame.x.high, 4, chart.whole_x ? 1 : 0);
  const auto step_of = [](const std::vector<double>& ticks) {
    return ticks.size() > 1 ? ticks[1] - ticks[0] : std::max(1e-3, std::fabs(ticks[0]));
  };
  for (const double v : ticks_y)
    out += tensor::format(
        "<line class=\"grid\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>\n",
        kLeft, kWidth - kRight, frame.down(v), frame.down(v), kLeft - 6, frame.down(v) + 4,
        label(v, step_of(ticks_y)));
  for (const double v : ticks_x)
    out += tensor::format(
        "<line class=\"axis\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
        frame.across(v), frame.across(v), kHeight - kBottom, kHeight - kBottom + 4, frame.across(v),
        kHeight - kBottom + 17, label(v, step_of(ticks_x)));
  out += tensor::format("<line class=\"axis\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>\n",
                        kLeft, kWidth - kRight, kHeight - kBottom, kHeight - kBottom);
  const double middle_x = (kLeft + kWidth - kRight) / 2, middle_y = (kTop + kHeight - kBottom) / 2;
  out += tensor::format("<text class=\"label\" x=\"{:.1f}\" y=\"{:.1f}\" text-anchor=\"middle\">{}</text>\n",
                        middle_x, kHeight - 8, escape_html(chart.x_label));
  out += tensor::format(
      "<text class=\"label\" transform=\"translate(13 {:.1f}) rotate(-90)\" "
      "text-anchor=\"middle\">{}</text>\n",
      middle_y, escape_html(chart.y_label));
  return out;
}

std::string legend(const Chart& chart) {
  std::string out;
  double x = kLeft;
  for (size_t i = 0; i < chart.series.size(); ++i) {
    const Series& series = chart.series[i];
    out += tensor::format("<line class=\"line series{}\" x1=\"{:.1f}\" x2=\"{:.1f}\" y1=\"14\" y2=\"14\"/>",
                          i % kStyles, x, x + 22);
    if (series.markers || series.points.size() == 1)
      out += tensor::format("<circle class=\"dot series{}\" cx=\"{:.1f}\" cy=\"14\" r=\"3\"/>", i % kStyles,
                            x + 11);
    out += tensor::format("<text x=\"{:.1f}\" y=\"18\">{}</text>\n", x + 28, escape_html(series.name));
    // The letters are about this wide; a browser knows better, but only once it draws.
    x += 44 + 6.3 * static_cast<double>(series.name.size());
  }
  return out;
}

std::string curve(const Series& series, size_t number, const Frame& frame) {
  std::string out;
  if (series.points.size() > 1) {
    out += tensor::format("<polyline class=\"line series{}\" points=\"", number);
    for (const Point& p : series.points)
      out += tensor::format("{:.1f},{:.1f} ", frame.across(p.x), frame.down(p.y));
    out.back() = '"';
    out += "/>\n";
  }
  if (series.markers || series.points.size() == 1)
    for (const Point& p : series.points)
      out += tensor::format("<circle class=\"dot series{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3\"/>\n", number,
                            frame.across(p.x), frame.down(p.y));
  return out;
}

}  // namespace

std::string render_chart(const Chart& chart) {
  const Frame frame = frame_of(chart);
  std::string out =
      tensor::format("<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n", kWidth,
                     kHeight, escape_html(chart.title));
  out += axes(chart, frame) + legend(chart);
  for (size_t i = 0; i < chart.series.size(); ++i) out += curve(chart.series[i], i % kStyles, frame);
  return out + "</svg>\n";
}

std::vector<Point> thinned(const std::vector<Point>& points, size_t most) {
  const size_t group = (points.size() + most - 1) / most;
  if (group <= 1) return points;
  std::vector<Point> out;
  for (size_t begin = 0; begin < points.size(); begin += group) {
    const size_t end = std::min(points.size(), begin + group);
    Point sum;
    for (size_t i = begin; i < end; ++i) sum.x += points[i].x, sum.y += points[i].y;
    const auto n = static_cast<double>(end - begin);
    out.push_back({sum.x / n, sum.y / n});
  }
  return out;
}

std::vector<Point> smoothed(const std::vector<Point>& points, size_t half) {
  std::vector<Point> out = points;
  for (size_t i = 0; i < points.size(); ++i) {
    const size_t reach = std::min(half, i), end = std::min(points.size(), i + reach + 1);
    double sum = 0;
    for (size_t k = i - reach; k < end; ++k) sum += points[k].y;
    out[i].y = sum / static_cast<double>(end - (i - reach));
  }
  return out;
}

std::vector<double> round_ticks(double low, double high, int count, double apart) {
  const double rough = std::max((high - low) / count, apart);
  if (!(rough > 0) || !std::isfinite(rough)) return {low};
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 5.0})
    if (factor * power >= rough * 0.999) {
      step = factor * power;
      break;
    }
  std::vector<double> ticks;
  const double first = std::ceil(low / step - 1e-9);
  for (int i = 0; i <= 2 * count + 2; ++i) {
    const double v = (first + i) * step;
    if (v > high + step * 1e-9) break;
    ticks.push_back(v);
  }
  if (ticks.empty()) ticks.push_back(low);
  return ticks;
}

}  // namespace imgcap
