#include "imgcap/cli/run_samples.h"

#include <algorithm>
#include <ctime>
#include <optional>

#include "imgcap/cli/cli.h"
#include "imgcap/cli/data_options.h"
#include "imgcap/data/image_writer.h"
#include "imgcap/data/resize.h"
#include "imgcap/training/validation.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/json.h"

namespace imgcap::cli {

namespace fs = std::filesystem;
using tensor::io::Json;
using tensor::io::write_file_atomically;

namespace {

constexpr int64_t kPreviewSide = 320;
constexpr int kPreviewQuality = 80;

std::string file_of_step(int64_t step) { return tensor::format("step_{:09d}.json", step); }

// Files of an earlier run, or of steps that are made again.
void remove_after(const fs::path& folder, int64_t step) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step_") && name > file_of_step(step)) fs::remove(entry.path(), ignored);
  }
}

// The photos whose captions a validation reports.
std::vector<std::pair<std::string, const Dataset::Photo*>> shown_photos(const Dataset& validation) {
  std::vector<std::pair<std::string, const Dataset::Photo*>> shown;
  std::vector<size_t> seen(std::max<size_t>(validation.sets.size(), 1), 0);
  for (const Dataset::Photo& photo : validation.photos)
    if (seen[photo.set]++ < Validation::kSamples)
      shown.emplace_back(validation.sets.empty() ? "" : validation.sets[photo.set].name, &photo);
  return shown;
}

// The name of its file; empty where the photo is not to be had.
std::string write_preview(const fs::path& folder, size_t number, const ImageSource& source,
                          const std::string& photo) {
  const std::optional<int64_t> index = source.find(photo);
  if (!index) return "";
  Image image;
  try {
    image = source.read_image(*index);
  } catch (const tensor::Error&) {
    return "";
  }
  const std::string name = tensor::format("{}.jpg", number);
  write_file_atomically(folder / name, encode_jpeg(at_most(image, kPreviewSide), kPreviewQuality));
  return name;
}

// They may have been moved away since their features were made.
std::optional<ImageSource> photos_of(const std::vector<std::string>& images) {
  try {
    return open_images(images);
  } catch (const tensor::Error&) {
    return std::nullopt;
  }
}

Json photos_json(const fs::path& folder, const Dataset& validation, const std::vector<std::string>& images) {
  const std::optional<ImageSource> source = photos_of(images);
  Json photos = Json::array();
  for (const auto& [set, photo] : shown_photos(validation)) {
    Json json = Json::object({{"set", set}, {"photo", photo->name}, {"references", photo->captions}});
    const std::string preview =
        source ? write_preview(folder, photos.size(), *source, photo->name) : std::string();
    if (!preview.empty()) json["preview"] = preview;
    photos.push_back(std::move(json));
  }
  return photos;
}

}  // namespace

template <class F>
void RunSamples::write(F&& work) {
  if (!writes_) return;
  try {
    work();
  } catch (const tensor::Error& error) {
    if (error.kind() != tensor::ErrorKind::io) throw;
    writes_ = false;
    say({tensor::format("{}; training goes on without samples", error.what())});
  }
}

RunSamples::RunSamples(const fs::path& run, int64_t step, int64_t total_steps, const Dataset& validation,
                       const std::vector<std::string>& images)
    : folder_(run / "samples") {
  write([&] {
    std::error_code error;
    fs::create_directories(folder_, error);
    tensor::check(!error, tensor::ErrorKind::io, "{}: {}", folder_.string(), error.message());
    remove_after(folder_, step);
    Json json = Json::object(
        {{"total_steps", total_steps}, {"step", step}, {"time", static_cast<int64_t>(std::time(nullptr))}});
    json["photos"] = photos_json(folder_, validation, images);
    write_file_atomically(folder_ / "run.json", json.dump() + "\n");
  });
}

void RunSamples::add(const ValidationReport& report) {
  write([&] {
    Json json = Json::object({{"step", report.step}, {"epoch", report.epoch}, {"captions", Json::array()}});
    for (const SampleCaption& sample : report.samples)
      json["captions"].push_back(
          Json::object({{"set", sample.set}, {"photo", sample.photo}, {"caption", sample.caption}}));
    write_file_atomically(folder_ / file_of_step(report.step), json.dump() + "\n");
  });
}

}  // namespace imgcap::cli
