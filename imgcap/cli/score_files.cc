#include "imgcap/cli/score_files.h"

#include <algorithm>
#include <cstdio>

#include "imgcap/data/utf8.h"
#include "tensor/error.h"

namespace imgcap::cli {
namespace {

CaptionFile read(const std::string& file, EmptyCaptions empty) {
  CaptionFile captions = read_captions(file, empty);
  if (captions.report.skipped > 0) std::fprintf(stderr, "%s\n", printable(captions.report.summary()).c_str());
  return captions;
}

std::vector<std::string> images_of(const std::vector<Caption>& captions) {
  std::vector<std::string> names;
  for (const ImageCaptions& group : group_by_image(captions)) names.push_back(group.image);
  return names;
}

// Photos that have an error in place of a caption are not scored, and that is told; where another file has a
// caption, they keep their references.
void leave_out(const std::vector<std::string>& failed, const PhotoNames& photos, ScoreFiles& files) {
  if (failed.empty()) return;
  std::fprintf(stderr, "%zu photos have an error in place of a caption and are left out (first: %s)\n",
               failed.size(), printable(failed.front()).c_str());
  for (const std::string& name : failed)
    if (const auto photo = photos.find(name)) {
      const std::string& key = photos.keys()[static_cast<size_t>(*photo)];
      if (std::none_of(files.candidates.begin(), files.candidates.end(),
                       [&](const Candidates& captions) { return captions.contains(key); }))
        files.references.erase(key);
    }
}

}  // namespace

ScoreFiles read_score_files(const std::vector<std::string>& references,
                            const std::vector<std::string>& candidates, const PhotoChoice& choice) {
  std::vector<CaptionFile> files;
  for (const std::string& file : candidates) files.push_back(read(file, EmptyCaptions::keep));
  // A photo is called as the first file of references calls it.
  std::vector<Caption> truths;
  PhotoNames photos;
  PhotosBySplit splits;
  for (const std::string& file : references) {
    CaptionFile part = read(file, EmptyCaptions::skip);
    add_splits(part, file, splits);
    for (CaptionFile& captions : files) rename_images_by_id(captions, part);
    rename_images(part.captions, photos, file);
    truths.insert(truths.end(), part.captions.begin(), part.captions.end());
    photos = PhotoNames(images_of(truths));
  }
  std::vector<std::string> names;
  if (choice.given()) names = choice.names(splits);
  NamesOfFile listed(photos, choice.label());
  for (std::string& name : names)
    if (const auto photo = listed.find(name)) name = photos.keys()[static_cast<size_t>(*photo)];
  const std::vector<std::string>* images = choice.given() ? &names : nullptr;

  ScoreFiles result;
  result.references = references_of(truths, images);
  for (size_t i = 0; i < files.size(); ++i) {
    rename_images(files[i].captions, photos, candidates[i]);
    result.candidates.push_back(candidates_of(files[i].captions, images));
  }
  for (const CaptionFile& file : files) leave_out(file.failed, photos, result);
  return result;
}

void expect_same_images(const ScoreFiles& files, const std::string& a, const std::string& b) {
  const Candidates &first = files.candidates.at(0), &second = files.candidates.at(1);
  size_t alone = 0;
  std::string image;
  const std::string* where = nullptr;
  const auto look = [&](const Candidates& have, const Candidates& want, const std::string& file) {
    for (const auto& [name, caption] : have) {
      if (want.contains(name)) continue;
      ++alone;
      if (where == nullptr || name < image) image = name, where = &file;
    }
  };
  look(first, second, a);
  look(second, first, b);
  tensor::check(
      alone == 0, tensor::ErrorKind::data,
      "score: {} images have a caption in only one of {} and {}, first {} (in {}); a --list may leave them "
      "out",
      alone, printable(a), printable(b), printable(image), where == nullptr ? "" : printable(*where));
}

}  // namespace imgcap::cli
