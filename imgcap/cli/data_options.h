// Options and steps that the verbs about data sets share.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "imgcap/cli/cli.h"
#include "imgcap/data/captions.h"
#include "imgcap/training/encode.h"

namespace imgcap::cli {

// Photo -> captions, in the file's order; says on stderr what was skipped.
std::map<std::string, std::vector<std::string>> load_captions(const std::vector<std::string>& files);

// Features of the named photos: from `cache_file` when it is there and made by this encoder and has them all
// (but those that it knows to be unreadable, and those that are still missing), else made (and written to
// `cache_file` when one is named). Photos that are missing or cannot be read are counted on stderr; those
// that were tried now are in `report`, where it is given, with the reasons.
FeatureCache load_features(const LoadedEncoder& encoder, const std::vector<std::string>& images,
                           const std::vector<std::string>& names, const std::string& cache_file,
                           const Augmentation& augmentation = {}, EncodeReport* report = nullptr);

// The photos of an ImageSource's arguments.
ImageSource open_images(const std::vector<std::string>& images);

}  // namespace imgcap::cli
