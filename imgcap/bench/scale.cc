#include "imgcap/bench/scale.h"

#include <algorithm>

#include "imgcap/bench/jobs.h"
#include "imgcap/bench/made_captions.h"
#include "imgcap/bench/temporary_folder.h"
#include "tensor/error.h"
#include "tensor/thread_pool.h"

namespace imgcap::bench {
namespace {

constexpr int64_t kWidth = 512;
const std::string kStep = "training step of the attention model, float32, ";

TrainingWork with_width(int64_t width) {
  TrainingWork work;
  work.config.embedding = work.config.hidden = work.config.attention = width;
  work.captions = 64;
  return work;
}

double giga_operations(const TrainingWork& work) { return operations(work) / 1e9; }

// One point for each size; `work_of` makes the step, `amount_of` says how much work it is.
template <class Amount>
ScaleSeries training(const char* name, const std::string& what, const char* work_unit,
                     const std::vector<int64_t>& sizes, int64_t calls,
                     const std::function<TrainingWork(int64_t)>& work_of, Amount amount_of) {
  ScaleSeries series{name, kStep + what, "captions", work_unit, {}};
  for (const int64_t size : sizes) {
    const TrainingWork work = work_of(size);
    const double seconds = time_training(work, 1, calls).min;
    series.points.push_back({size, seconds, static_cast<double>(work.captions) / seconds, amount_of(work)});
  }
  return series;
}

ScaleSeries batch(const ScaleOptions& options) {
  const auto captions = [](const TrainingWork& work) { return static_cast<double>(work.captions); };
  return training(
      "batch", "against captions per step", "captions", {16, 32, 64, 128, 256}, options.calls,
      [](int64_t size) {
        TrainingWork work = with_width(kWidth);
        work.captions = size;
        return work;
      },
      captions);
}

ScaleSeries hidden(const ScaleOptions& options) {
  return training(
      "hidden", "32 captions, against its widths", "GFLOP", {256, 512, 1024, 2048}, options.calls,
      [](int64_t size) {
        TrainingWork work = with_width(size);
        work.captions = 32;
        return work;
      },
      giga_operations);
}

ScaleSeries vocabulary(const ScaleOptions& options) {
  return training(
      "vocabulary", "64 captions, against the vocabulary", "GFLOP", {2048, 4096, 8192, 16384, 32768},
      options.calls,
      [](int64_t size) {
        TrainingWork work = with_width(kWidth);
        work.config.vocabulary = size;
        return work;
      },
      giga_operations);
}

// Puts the number of threads back.
struct Threads {
  int before = tensor::num_threads();
  ~Threads() { tensor::set_num_threads(before); }
};

ScaleSeries threads(const ScaleOptions& options) {
  const Threads restore;
  std::vector<int64_t> sizes;
  for (int64_t n = 1; n < restore.before; n *= 2) sizes.push_back(n);
  sizes.push_back(restore.before);
  return training(
      "threads", "64 captions, against threads", "captions for each thread", sizes, options.calls,
      [](int64_t size) {
        tensor::set_num_threads(static_cast<int>(size));
        return with_width(kWidth);
      },
      [](const TrainingWork& work) { return static_cast<double>(work.captions) / tensor::num_threads(); });
}

// A job that goes over `size` things of a kind, which are its work.
template <class Seconds>
void add_points(ScaleSeries& series, const std::vector<int64_t>& sizes, int64_t calls, Seconds seconds_of) {
  for (const int64_t size : sizes) {
    std::vector<double> seconds;
    for (int64_t call = 0; call < calls; ++call) seconds.push_back(seconds_of(size));
    const double least = summary(seconds).min;
    series.points.push_back({size, least, static_cast<double>(size) / least, static_cast<double>(size)});
  }
}

ScaleSeries score(const ScaleOptions& options) {
  ScaleSeries series{
      "score", "scores of one caption per image against five, from files", "images", "images", {}};
  add_points(series, {1'000, 3'000, 10'000, 30'000}, options.calls, [&](int64_t images) {
    const TemporaryFolder folder;
    const std::string references = folder / "references.csv", candidates = folder / "candidates.csv";
    write_made_captions(images, references, candidates);
    const auto start = std::chrono::steady_clock::now();
    options.score(references, candidates);
    return seconds_since(start);
  });
  return series;
}

ScaleSeries prepare_photos(const ScaleOptions& options) {
  ScaleSeries series{"prepare",
                     "photos from files to a cache of features, EfficientNet-Lite2, float32",
                     "photos",
                     "photos",
                     {}};
  add_points(series, {16, 32, 64, 128, 256}, std::min<int64_t>(options.calls, 2),
             [&](int64_t photos) { return time_prepare(options.photos, options.weights, photos); });
  return series;
}

struct Named {
  const char* name;
  ScaleSeries (*run)(const ScaleOptions&);
};
constexpr Named kSeries[] = {{"batch", batch},     {"hidden", hidden}, {"vocabulary", vocabulary},
                             {"threads", threads}, {"score", score},   {"prepare", prepare_photos}};

}  // namespace

double ScaleSeries::relative(const ScalePoint& point) const {
  const ScalePoint& first = points.front();
  return point.seconds / point.work / (first.seconds / first.work);
}

std::vector<std::string> scale_names() {
  std::vector<std::string> names;
  for (const Named& series : kSeries) names.emplace_back(series.name);
  return names;
}

ScaleSeries run_scale(const std::string& name, const ScaleOptions& options) {
  for (const Named& series : kSeries)
    if (series.name == name) return series.run(options);
  tensor::fail(tensor::ErrorKind::argument, "bench: there is no series '{}'; there are {}", name,
               tensor::join(scale_names(), ", "));
}

}  // namespace imgcap::bench
