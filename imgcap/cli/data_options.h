// Options and steps that the verbs about data sets share.
#pragma once

#include <string>
#include <vector>

#include "imgcap/cli/cli.h"
#include "imgcap/data/captions.h"
#include "imgcap/training/dataset.h"
#include "imgcap/training/encode.h"
#include "imgcap/training/training_features.h"

namespace imgcap::cli {

// Split -> its photos that have captions, in the files' order.
using PhotosBySplit = std::map<std::string, std::vector<std::string>>;

// Of each file, photo -> captions in the file's order; says on stderr what was skipped. The splits are added
// where they are given. Errors: those of read_captions, data (two files have a photo in different splits).
std::vector<CaptionsByPhoto> load_captions(const std::vector<std::string>& files,
                                           PhotosBySplit* splits = nullptr);
// The part of that for one file.
void add_splits(const CaptionFile& captions, const std::string& file, PhotosBySplit& splits);

// The photos of lists, a file after the other, each name once. Errors: those of read_image_list.
std::vector<std::string> names_in_lists(const std::vector<std::string>& files);
// The files' names, for what is printed: "val.txt, more.txt".
std::string label_of(const std::vector<std::string>& files);

// Which photos: --list FILE ... or --split NAME.
struct PhotoChoice {
  std::vector<std::string> lists;
  std::string split;

  void add_options(Verb& verb, const std::string& what);
  bool given() const { return !lists.empty() || !split.empty(); }
  // Errors: argument (neither is given, no photo is in the split).
  std::vector<std::string> names(const PhotosBySplit& splits) const;
  std::string label() const;  // for what is printed: "test.txt" or "test"
};

// load_or_encode_features (training/feature_loading.h), with what it tells on stderr: what is missing, added
// and skipped, with the reasons, and how far it is. Those photos that were tried now and cannot be read are
// in `report`, too, where it is given. Ctrl-C keeps what is encoded and throws Interrupted.
FeatureCache load_features(const LoadedEncoder& encoder, const std::vector<std::string>& images,
                           const std::vector<std::string>& names, const std::string& cache_file,
                           const EncodeOptions& options = {}, EncodeReport* report = nullptr);
// The same for all that a training run takes turns with (training/training_features.h).
TrainingFeatures load_training_features(const LoadedEncoder& encoder, const FeatureRequest& request);

// Says on stderr how many photos of the list have no captions.
void report_without_captions(const Dataset& data);

// Says on stderr, once for each place, what besides pictures is there.
void report_passed_over(const ImageSource& source);

// The photos of an ImageSource's arguments.
ImageSource open_images(const std::vector<std::string>& images);

// The keys of the photos that are there or in the cache, which need not exist. Errors: io, data (neither can
// be read).
PhotoNames known_photos(const std::vector<std::string>& images, const std::string& cache_file);

}  // namespace imgcap::cli
