// The captions that are scored and their references, from files.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "imgcap/cli/data_options.h"
#include "imgcap/metrics/scores.h"

namespace imgcap::cli {

struct ScoreFiles {
  References references;
  // Of each file, with the names that the references have.
  std::vector<Candidates> candidates;
  std::vector<std::set<std::string>> failed;  // photos with an error in place of a caption
};

// Says on stderr what is left out: rows that cannot be read, photos that have an error in place of a caption and
// a caption in no file. Errors: those of read_captions, of photo names (imgcap/data/photo_names.h) and of candidates_of.
ScoreFiles read_score_files(const std::vector<std::string>& references,
                            const std::vector<std::string>& candidates, const PhotoChoice& choice);

// Errors: data (an image has a caption in one of the two files alone; the text counts them, names the first and
// says whether the other file has an error for it or nothing).
void expect_same_images(const ScoreFiles& files, const std::string& a, const std::string& b);

}  // namespace imgcap::cli
