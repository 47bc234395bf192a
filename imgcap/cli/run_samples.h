// What a training run leaves for those who watch it (imgcap serve --run), in RUN/samples/: run.json when it begins, and
// a file for each validation, with captions of a few photos.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "imgcap/training/dataset.h"
#include "imgcap/training/reports.h"

namespace imgcap::cli {

// run.json: {"total_steps", "step" and "time" (seconds since 1970) when it began, "photos": [{"set", "photo",
// "references", "preview"}]}; a preview is a JPEG beside it, and missing where the photo is. step_NUMBER.json: {"step",
// "epoch", "captions": [{"set", "photo", "caption"}]}. Nothing of it is needed to train: where it cannot be written, one
// sentence on stderr says so and the run goes on without.
class RunSamples {
 public:
  // `step`: after which the run begins or goes on; what there is of later ones is removed.
  RunSamples(const std::filesystem::path& run, int64_t step, int64_t total_steps, const Dataset& validation,
             const std::vector<std::string>& images);

  void add(const ValidationReport& report);

 private:
  template <class F>
  void write(F&& work);

  std::filesystem::path folder_;
  bool writes_ = true;
};

}  // namespace imgcap::cli
