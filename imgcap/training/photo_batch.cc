#include "imgcap/training/photo_batch.h"

#include <algorithm>
#include <atomic>
#include <future>
#include <optional>

#include "imgcap/data/utf8.h"
#include "tensor/error.h"
#include "tensor/thread_pool.h"

namespace imgcap {
namespace {

// What became of a photo.
struct Outcome {
  std::string warning;
  std::optional<std::string> reason;  // why it is skipped
  std::optional<int64_t> bytes;       // of a file that cannot be read
};

Outcome read_one(const ImageSource& source, int64_t index, const Augmentation& augmentation,
                 const Preprocessing& preprocessing, float* to) {
  Outcome outcome;
  if (find_invalid_utf8(source.name(index)) != kNoPosition) {
    outcome.reason = "its name is not UTF-8";
    return outcome;
  }
  try {
    const Image image = source.read_image(index);
    outcome.warning = image.warning;
    to_chw(augmentation(image, index), preprocessing, to);
  } catch (const tensor::Error& error) {
    outcome.reason = error.what();
    outcome.bytes = file_bytes(source, index);
  }
  return outcome;
}

}  // namespace

PhotoBatch read_photos(const ImageSource& source, std::span<const int64_t> which,
                       const Augmentation& augmentation, const Preprocessing& preprocessing,
                       bool all_threads) {
  const auto n = std::ssize(which);
  const int64_t size = 3 * preprocessing.height * preprocessing.width;
  tensor::Tensor pictures = tensor::Tensor::empty({n, 3, preprocessing.height, preprocessing.width});
  float* const to = pictures.mutable_data<float>();
  std::vector<Outcome> outcomes(which.size());
  std::atomic<int64_t> next = 0;
  const auto work = [&] {
    const tensor::FlushDenormals flush;
    for (int64_t i = next++; i < n; i = next++) {
      const auto at = static_cast<size_t>(i);
      outcomes[at] = read_one(source, which[at], augmentation, preprocessing, to + i * size);
    }
  };
  // A photo is encoded in a few times what it takes to read it; and while it is decoded it may take a GiB.
  constexpr int kMostReaders = 4, kMostForDevice = 16;
  const int threads = tensor::num_threads();
  const int readers = all_threads ? std::min(kMostForDevice, threads) : std::min(kMostReaders, threads / 4);
  std::vector<std::future<void>> helpers;
  for (int helper = 1; helper < readers; ++helper)
    helpers.push_back(std::async(std::launch::async | std::launch::deferred, work));
  work();
  for (auto& helper : helpers) helper.get();

  PhotoBatch batch;
  for (int64_t i = 0; i < n; ++i) {
    const Outcome& outcome = outcomes[static_cast<size_t>(i)];
    const std::string& name = source.name(which[static_cast<size_t>(i)]);
    if (outcome.reason) {
      batch.skipped.emplace_back(name, *outcome.reason);
      if (outcome.bytes) batch.unreadable[name] = *outcome.bytes;
      continue;
    }
    const auto kept = std::ssize(batch.names);
    if (kept != i) std::copy_n(to + i * size, size, to + kept * size);
    batch.names.push_back(name);
    if (!outcome.warning.empty()) batch.warned.emplace_back(name, outcome.warning);
  }
  batch.pictures = pictures.slice(0, 0, std::ssize(batch.names));
  return batch;
}

}  // namespace imgcap
