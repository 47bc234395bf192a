// Captions on stdout as other programs read them: COCO's results and results.csv.
#pragma once

#include <set>
#include <string>

namespace imgcap::cli {

class CaptionResults {
 public:
  enum class Format { coco, csv };
  explicit CaptionResults(Format format) : format_(format) {}

  // Prints the caption. In COCO's format the photo is an integer where its name has one (id_in_name()) that
  // no photo before has, or else the name. Errors: io, data (a name that results.csv cannot hold).
  void add(const std::string& photo, const std::string& caption);
  // What closes the list, also where no more photos come.
  void finish();

 private:
  Format format_;
  bool begun_ = false;
  std::set<long long> ids_;
};

}  // namespace imgcap::cli
