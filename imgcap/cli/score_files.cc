#include "imgcap/cli/score_files.h"

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

// As the references call them.
std::set<std::string> renamed(const std::vector<std::string>& names, const PhotoNames& photos) {
  std::set<std::string> result;
  for (const std::string& name : names) {
    const auto photo = photos.find(name);
    result.insert(photo ? photos.keys()[static_cast<size_t>(*photo)] : name);
  }
  return result;
}

// Photos that have an error in place of a caption are not scored, and that is told; where another file has a
// caption, they keep their references.
void leave_out_failed(ScoreFiles& files) {
  std::set<std::string> left_out;
  for (const auto& failed : files.failed) left_out.insert(failed.begin(), failed.end());
  for (const Candidates& captions : files.candidates)
    std::erase_if(left_out, [&](const std::string& photo) { return captions.contains(photo); });
  if (left_out.empty()) return;
  for (const std::string& photo : left_out) files.references.erase(photo);
  std::fprintf(stderr, "%zu photos have an error in place of a caption and are left out (first: %s)\n",
               left_out.size(), printable(*left_out.begin()).c_str());
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
    result.failed.push_back(renamed(files[i].failed, photos));
  }
  leave_out_failed(result);
  return result;
}

void expect_same_images(const ScoreFiles& files, const std::string& a, const std::string& b) {
  std::map<std::string, size_t> alone;  // and the file that has the caption
  for (const size_t file : {size_t{0}, size_t{1}})
    for (const auto& [image, caption] : files.candidates.at(file))
      if (!files.candidates.at(1 - file).contains(image)) alone[image] = file;
  if (alone.empty()) return;
  const auto& [image, file] = *alone.begin();
  const bool one = alone.size() == 1;
  tensor::fail(
      tensor::ErrorKind::data,
      "score: {} {} a caption in only one of the two files: {} has one in {} and {} in {}; a --list may "
      "leave {} out",
      alone.size(), one ? "image has" : "images have", printable(image), printable(file == 0 ? a : b),
      files.failed.at(1 - file).contains(image) ? "an error in its place" : "none",
      printable(file == 0 ? b : a), one ? "it" : "them");
}

}  // namespace imgcap::cli
