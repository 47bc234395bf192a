// --training: the captions that a model was trained on, to tell copies of them from captions of its own.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "imgcap/cli/verb.h"

namespace imgcap::cli {

struct TrainingCaptions {
  std::vector<std::string> files;
  std::string list;

  void add_options(Verb& verb);
  // Of the photos of the list or, without one, of those that a file has in the split train or restval, or all where it
  // has no splits; nothing without files. Says on stderr what was skipped. Errors: those of load_captions and of
  // read_image_list, data (a file has no captions of such photos).
  std::optional<std::vector<std::string>> texts() const;
};

}  // namespace imgcap::cli
