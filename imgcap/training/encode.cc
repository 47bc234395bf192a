#include "imgcap/training/encode.h"

#include <algorithm>
#include <future>
#include <numeric>
#include <optional>
#include <set>

#include "imgcap/data/utf8.h"
#include "imgcap/settings/names.h"
#include "imgcap/training/fingerprint.h"
#include "imgcap/training/weights_file.h"
#include "tensor/error.h"
#include "tensor/thread_pool.h"

namespace imgcap {

using tensor::check;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Tensor;

namespace {

constexpr int64_t kBatch = 16;

}  // namespace

LoadedEncoder load_encoder(const std::string& name, const std::filesystem::path& weights, EncoderUse use) {
  WeightsFile file = read_weights(weights);
  LoadedEncoder loaded = load_encoder(name, std::move(file.tensors), weights.string(), use);
  loaded.remarks.insert(loaded.remarks.begin(), file.remarks.begin(), file.remarks.end());
  return loaded;
}

LoadedEncoder load_encoder(const std::string& name, std::map<std::string, Tensor> tensors,
                           const std::string& origin, EncoderUse use) {
  LoadedEncoder loaded;
  loaded.encoder = make_encoder(name, false);
  const std::string classifier = loaded.encoder->classifier(), head = classifier + ".";
  std::vector<std::string> wanted;
  std::set<std::string> parts;
  for (const auto& [key, value] : loaded.encoder->state_dict()) {
    parts.insert(first_part(key));
    if (!key.starts_with(head) && !key.ends_with(".num_batches_tracked")) wanted.push_back(key);
  }
  take_prefix(tensors, wanted, parts, origin, loaded.remarks);

  const auto weight = tensors.find(head + "weight");
  const bool has_classifier = weight != tensors.end() && tensors.contains(head + "bias");
  if (!has_classifier) {
    check(use != EncoderUse::classes, ErrorKind::data, "{}: it has no classifier ({}weight, {}bias)", origin,
          head, head);
    const size_t others = std::erase_if(tensors, [&](const auto& t) { return t.first.starts_with(head); });
    if (others > 0)
      loaded.remarks.push_back(tensor::format(
          "{}: its classifier is not one linear layer; what is under '{}' is left out", origin, head));
  } else if (weight->second.rank() == 2 && weight->second.size(0) != loaded.encoder->classes()) {
    check(weight->second.size(0) > 0, ErrorKind::data, "{}: its classifier has no classes", origin);
    loaded.encoder = make_encoder(name, false, weight->second.size(0));
  }

  Fingerprint fingerprint;
  for (auto& [key, value] : tensors) {
    fingerprint.add(key.data(), key.size());
    const Tensor dense = value.to(tensor::Device::cpu()).contiguous();
    fingerprint.add(dense.raw(), static_cast<size_t>(dense.bytes()));
    if (tensor::is_floating(value.dtype())) value = value.to(DType::f32);
  }
  if (!has_classifier)
    for (const char* part : {"weight", "bias"})
      tensors[head + part] = Tensor::zeros(loaded.encoder->parameter(head + part).shape());
  nn::LoadOptions options;
  options.finite = [&](const std::string& key) {
    return use == EncoderUse::classes || (use == EncoderUse::features && !key.starts_with(head));
  };
  tensor::about_file(origin, [&] { loaded.encoder->load_state_dict(tensors, options); });
  loaded.encoder->freeze();
  loaded.preprocessing =
      name == "efficientnet_lite2" ? efficientnet_lite_preprocessing() : imagenet_preprocessing();
  loaded.key = name + " " + fingerprint.text() + " " + to_json(loaded.preprocessing);
  return loaded;
}

Tensor encode_images(const LoadedEncoder& encoder, const std::vector<Image>& images) {
  std::vector<const Image*> pointers;
  for (const Image& image : images) pointers.push_back(&image);
  return encode_images(encoder, pointers);
}

Tensor encode_images(const LoadedEncoder& loaded, const std::vector<const Image*>& images) {
  const Preprocessing& p = loaded.preprocessing;
  const auto n = static_cast<int64_t>(images.size());
  const int64_t size = 3 * p.height * p.width;
  Tensor pictures = Tensor::empty({n, 3, p.height, p.width});
  float* to = pictures.mutable_data<float>();
  tensor::parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to_chw(*images[static_cast<size_t>(i)], p, to + i * size);
  });
  const Tensor map = loaded.encoder->features(pictures);
  return map.permute({0, 2, 3, 1}).reshape({n, map.size(2) * map.size(3), map.size(1)});
}

Image Augmentation::operator()(const Image& image, int64_t index) const {
  if (kind == Kind::none) return image;
  if (kind == Kind::mirror) return flip_horizontal(image);
  const AugmentOptions options = kind == Kind::mild ? mild_augmentation() : AugmentOptions{};
  return augment(image, options, plan_augmentation(options, seed, view, index));
}

std::string Augmentation::key() const {
  if (kind == Kind::none) return "";
  if (kind == Kind::mirror) return " mirror";
  return tensor::format(" {} augmentation {} of seed {}", to_string(kind), view, seed);
}

int64_t file_bytes(const ImageSource& source, int64_t index) {
  try {
    return static_cast<int64_t>(source.read(index).size());
  } catch (const tensor::Error&) {
    return -1;
  }
}

namespace {

// An encoder whose weights stay and whose batch norm learns; frozen again at the end.
class LearningNorms {
 public:
  explicit LearningNorms(Encoder& encoder) : encoder_(encoder) {
    encoder_.unfreeze();
    encoder_.train();
  }
  ~LearningNorms() {
    encoder_.eval();
    encoder_.freeze();
  }
  LearningNorms(const LearningNorms&) = delete;
  LearningNorms& operator=(const LearningNorms&) = delete;

 private:
  Encoder& encoder_;
};

}  // namespace

std::string feature_key(const LoadedEncoder& encoder, const EncodeOptions& options) {
  const std::string key = encoder.key + options.augmentation.key();
  return options.batch_statistics == 0
             ? key
             : tensor::format("{} statistics of {} photos", key, options.batch_statistics);
}

FeatureCache encode_photos(const LoadedEncoder& encoder, const ImageSource& source,
                           const std::vector<int64_t>& which, EncodeReport& report,
                           const EncodeOptions& options) {
  std::vector<int64_t> order = which;
  if (order.empty()) {
    order.resize(static_cast<size_t>(source.size()));
    std::iota(order.begin(), order.end(), 0);
  }
  const auto total = static_cast<int64_t>(order.size());
  struct Batch {
    std::vector<std::string> names;
    std::vector<Image> images;
    std::vector<std::pair<std::string, std::string>> skipped, warned;
    std::map<std::string, int64_t> unreadable;
  };
  const int64_t size = options.batch_statistics > 0 ? options.batch_statistics : kBatch;
  std::optional<LearningNorms> learning;
  if (options.batch_statistics > 0) learning.emplace(*encoder.encoder);
  const auto read = [&](int64_t begin) {
    Batch batch;
    for (int64_t i = begin; i < std::min(total, begin + size); ++i) {
      const int64_t index = order[static_cast<size_t>(i)];
      if (find_invalid_utf8(source.name(index)) != kNoPosition) {
        batch.skipped.emplace_back(source.name(index), "its name is not UTF-8");
        continue;
      }
      try {
        const Image image = source.read_image(index);
        batch.images.push_back(options.augmentation(image, index));
        batch.names.push_back(source.name(index));
        if (!image.warning.empty()) batch.warned.emplace_back(source.name(index), image.warning);
      } catch (const tensor::Error& error) {
        batch.skipped.emplace_back(source.name(index), error.what());
        batch.unreadable[source.name(index)] = file_bytes(source, index);
      }
    }
    return batch;
  };
  std::vector<std::string> names;
  Tensor features;
  std::map<std::string, int64_t> unreadable;
  CacheReaders readers = options.readers;
  int64_t filled = 0;
  const auto add = [&](const Tensor& rows) {
    if (!features.defined())
      features = Tensor::empty(
          {filled + (options.known ? options.known->size() : 0) + total, rows.size(1), rows.size(2)},
          DType::f16);
    features.slice(0, filled, filled + rows.size(0)).copy_(rows);
    filled += rows.size(0);
  };
  if (options.known) {
    const FeatureCache& known = *options.known;
    unreadable = known.unreadable();
    for (int64_t begin = 0, end = 0; begin < known.size(); begin = end + 1) {  // runs of rows that stay
      const auto stays = [&](int64_t row) {
        return !options.again.contains(known.names()[static_cast<size_t>(row)]);
      };
      for (end = begin; end < known.size() && stays(end);)
        names.push_back(known.names()[static_cast<size_t>(end++)]);
      if (end > begin) add(known.features().slice(0, begin, end));
    }
  }
  // What is known of a photo may be under another spelling of its key.
  std::vector<std::string> spellings(readers.older.begin(), readers.older.end());
  for (const auto& [name, bytes] : unreadable) spellings.push_back(name);
  const PhotoNames before(std::move(spellings));
  const auto forget = [&](const std::string& name) {
    const auto found = before.find(name);
    if (!found) return;
    const std::string& spelling = before.keys()[static_cast<size_t>(*found)];
    unreadable.erase(spelling);
    readers.older.erase(spelling);
  };
  std::future<Batch> next = std::async(std::launch::async, read, 0);
  for (int64_t begin = 0; begin < total; begin += size) {
    const Batch batch = next.get();
    report.stopped = options.stop != nullptr && *options.stop;
    if (report.stopped) break;
    if (begin + size < total) next = std::async(std::launch::async, read, begin + size);
    report.skipped.insert(report.skipped.end(), batch.skipped.begin(), batch.skipped.end());
    report.warned.insert(report.warned.end(), batch.warned.begin(), batch.warned.end());
    for (const auto& [name, bytes] : batch.unreadable) {
      forget(name);
      unreadable[name] = bytes;
    }
    if (!batch.images.empty()) {
      add(encode_images(encoder, batch.images));
      names.insert(names.end(), batch.names.begin(), batch.names.end());
      for (const std::string& name : batch.names) forget(name);
    }
    if (options.progress) options.progress(std::min(total, begin + size), total);
  }
  if (filled == 0 && !report.stopped) {
    const auto [name, reason] =
        report.skipped.empty() ? std::pair<std::string, std::string>() : report.skipped[0];
    const std::string first = reason.find(name) == std::string::npos ? name + ": " + reason : reason;
    tensor::fail(ErrorKind::data, "encode: none of {} photos can be read; the first: {}", total, first);
  }
  if (filled == 0) features = Tensor::empty({0, 1, 1}, DType::f16);
  return FeatureCache(std::move(names), features.slice(0, 0, filled), feature_key(encoder, options),
                      std::move(unreadable), std::move(readers));
}

}  // namespace imgcap
