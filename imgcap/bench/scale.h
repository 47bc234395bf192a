// How time grows with the size of the work: series of one job at several sizes, each beside the work that it is.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace imgcap::bench {

struct ScalePoint {
  int64_t size = 0;
  double seconds = 0;     // the least of the calls: what the work takes when nothing disturbs it
  double per_second = 0;  // of the series' unit
  double work = 0;        // what the time should be in proportion to
};

struct ScaleSeries {
  std::string name;                // "batch"
  std::string what;                // the job, and what grows, in one line
  std::string unit;                // of per_second: "captions"
  std::string work_unit;           // of work: "captions", "GFLOP"
  std::vector<ScalePoint> points;  // from the smallest size to the largest

  // Seconds for each unit of work, relative to the smallest size's: 1 where time grows as the work does.
  double relative(const ScalePoint& point) const;
};

struct ScaleOptions {
  int64_t calls = 3;  // of each size, after one that does not count; preparing and scoring go without
  std::string photos, weights;  // as RowOptions has them
  // Scores the captions of one file against another's, as `imgcap score` does.
  std::function<void(const std::string& references, const std::string& candidates)> score;
};

// batch, hidden, vocabulary, threads: a training step of the attention model (embedding, hidden state and attention
//   512 wide, vocabulary 4,096, 64 captions of 20 tokens, where it is not what grows), against captions (16 to 256),
//   widths (256 to 2,048), vocabulary (2,048 to 32,768) and threads (1 to all). The work of the first and last is
//   counted in captions, for each thread, of the others in operations of the matrix products.
// score: made-up captions of 1,000 to 30,000 images, against five references each, from reading the files on.
// prepare: 16 to 256 photos from files to a cache of features.
std::vector<std::string> scale_names();

// Errors: argument (another name), those of reading photos and weights.
ScaleSeries run_scale(const std::string& name, const ScaleOptions& options);

}  // namespace imgcap::bench
