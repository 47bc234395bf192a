#include "imgcap/training/encode.h"

#include <algorithm>
#include <future>
#include <numeric>
#include <optional>
#include <set>
#include <span>

#include "imgcap/settings/names.h"
#include "imgcap/training/fingerprint.h"
#include "imgcap/training/photo_batch.h"
#include "imgcap/training/weights_file.h"
#include "tensor/error.h"
#include "tensor/thread_pool.h"

namespace imgcap {

using tensor::check;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Tensor;

namespace {

constexpr int64_t kBatch = 16, kDeviceBatch = 64;

// (n, p, d) on the encoder's device from pictures (n, 3, h, w) that are preprocessed.
Tensor encode(const LoadedEncoder& loaded, const Tensor& pictures, int left_out_stages = 0) {
  const Tensor map = loaded.encoder->features(pictures.to(loaded.encoder->device()), left_out_stages);
  return map.permute({0, 2, 3, 1}).reshape({map.size(0), map.size(2) * map.size(3), map.size(1)});
}

}  // namespace

std::string fingerprint_of(const std::map<std::string, Tensor>& weights) {
  Fingerprint fingerprint;
  for (const auto& [key, value] : weights) {
    fingerprint.add(key.data(), key.size());
    const Tensor dense = value.to(tensor::Device::cpu()).contiguous();
    fingerprint.add(dense.raw(), static_cast<size_t>(dense.bytes()));
  }
  return fingerprint.text();
}

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

  const bool as_stored = use == EncoderUse::captions;
  const std::string fingerprint = as_stored ? "" : fingerprint_of(tensors);
  for (auto& [key, value] : tensors)
    if (!as_stored && tensor::is_floating(value.dtype())) value = value.to(DType::f32);
  if (!has_classifier)
    for (const char* part : {"weight", "bias"})
      tensors[head + part] = Tensor::zeros(loaded.encoder->parameter(head + part).shape());
  nn::LoadOptions options{.adopt = as_stored};
  options.finite = [&](const std::string& key) {
    return use == EncoderUse::classes || (use != EncoderUse::conversion && !key.starts_with(head));
  };
  tensor::about_file(origin, [&] { loaded.encoder->load_state_dict(tensors, options); });
  loaded.encoder->freeze();
  loaded.preprocessing =
      name == "efficientnet_lite2" ? efficientnet_lite_preprocessing() : imagenet_preprocessing();
  if (!as_stored) loaded.key = name + " " + fingerprint + " " + to_json(loaded.preprocessing);
  return loaded;
}

void set_preprocessing(LoadedEncoder& encoder, const Preprocessing& preprocessing) {
  if (!encoder.key.empty()) {
    const std::string before = to_json(encoder.preprocessing);
    check(encoder.key.ends_with(before), ErrorKind::argument,
          "encoder: its key says nothing of its preprocessing");
    encoder.key.replace(encoder.key.size() - before.size(), before.size(), to_json(preprocessing));
  }
  encoder.preprocessing = preprocessing;
}

int64_t encoding_bytes(const LoadedEncoder& loaded) {
  constexpr int64_t kLibrary = int64_t{64} << 20;  // cuBLASLt's workspace, and windows for it
  const Preprocessing& p = loaded.preprocessing;
  const int64_t numbers = 2 * loaded.encoder->parameter_count() + 2 * kDeviceBatch * 3 * p.height * p.width;
  return numbers * tensor::size_of(DType::f32) + FrozenCnn::kDeviceBytes + kLibrary;
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
  return encode(loaded, pictures);
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

// Photos of a source become rows of a cache, batch after batch.
class PhotoEncoder {
 public:
  PhotoEncoder(const LoadedEncoder& encoder, const ImageSource& source, const std::vector<int64_t>& which,
               EncodeReport& report, const EncodeOptions& options)
      : encoder_(encoder),
        source_(source),
        options_(options),
        report_(report),
        order_(which),
        readers_(options.readers),
        on_device_(!encoder.encoder->device().is_cpu()) {
    if (order_.empty()) {
      order_.resize(static_cast<size_t>(source.size()));
      std::iota(order_.begin(), order_.end(), 0);
    }
    if (options.known) keep_known(*options.known);
    // What is known of a photo may be under another spelling of its key.
    std::vector<std::string> spellings(readers_.older.begin(), readers_.older.end());
    for (const auto& [name, bytes] : unreadable_) spellings.push_back(name);
    before_ = PhotoNames(std::move(spellings));
  }

  FeatureCache run() {
    const int64_t size = options_.batch_statistics > 0 ? options_.batch_statistics
                         : on_device_                  ? kDeviceBatch
                                                       : kBatch;
    std::optional<LearningNorms> learning;
    if (options_.batch_statistics > 0) learning.emplace(*encoder_.encoder);
    // In a thread of its own, while the batch before is encoded.
    const auto read_at = [&](int64_t begin) {
      const auto count = static_cast<size_t>(std::min(size, total() - begin));
      return std::async(std::launch::async, [this, which = std::span(order_).subspan(begin, count)] {
        return read_photos(source_, which, options_.augmentation, encoder_.preprocessing, on_device_);
      });
    };
    std::future<PhotoBatch> next = read_at(0);
    for (int64_t begin = 0; begin < total(); begin += size) {
      const PhotoBatch batch = next.get();
      report_.stopped = options_.stop != nullptr && *options_.stop;
      if (report_.stopped) break;
      if (begin + size < total()) next = read_at(begin + size);
      take(batch);
      if (options_.progress) options_.progress(std::min(total(), begin + size), total());
    }
    expect_photos();
    if (filled_ == 0) features_ = Tensor::empty({0, 1, 1}, DType::f16);
    return FeatureCache(std::move(names_), features_.slice(0, 0, filled_), feature_key(encoder_, options_),
                        std::move(unreadable_), std::move(readers_), feature_arithmetic(encoder_, options_));
  }

 private:
  int64_t total() const { return static_cast<int64_t>(order_.size()); }

  void take(const PhotoBatch& batch) {
    report_.skipped.insert(report_.skipped.end(), batch.skipped.begin(), batch.skipped.end());
    report_.warned.insert(report_.warned.end(), batch.warned.begin(), batch.warned.end());
    for (const auto& [name, bytes] : batch.unreadable) {
      forget(name);
      unreadable_[name] = bytes;
    }
    if (batch.names.empty()) return;
    add(encode(encoder_, batch.pictures, options_.left_out_stages));
    names_.insert(names_.end(), batch.names.begin(), batch.names.end());
    for (const std::string& name : batch.names) forget(name);
  }

  // The rows of a cache but for those that are to be made again.
  void keep_known(const FeatureCache& known) {
    const DType today = feature_arithmetic(encoder_, options_);
    check(known.arithmetic() == today, ErrorKind::argument,
          "encode: features in {} cannot be added to those in {}", tensor::name_of(today),
          tensor::name_of(known.arithmetic()));
    unreadable_ = known.unreadable();
    for (int64_t begin = 0, end = 0; begin < known.size(); begin = end + 1) {  // runs of rows that stay
      const auto stays = [&](int64_t row) {
        return !options_.again.contains(known.names()[static_cast<size_t>(row)]);
      };
      for (end = begin; end < known.size() && stays(end);)
        names_.push_back(known.names()[static_cast<size_t>(end++)]);
      if (end > begin) add(known.features().slice(0, begin, end));
    }
  }

  void add(const Tensor& rows) {
    if (!features_.defined())
      features_ = Tensor::empty(
          {filled_ + (options_.known ? options_.known->size() : 0) + total(), rows.size(1), rows.size(2)},
          DType::f16);
    features_.slice(0, filled_, filled_ + rows.size(0)).copy_(rows);
    filled_ += rows.size(0);
  }

  void forget(const std::string& name) {
    const auto found = before_.find(name);
    if (!found) return;
    const std::string& spelling = before_.keys()[static_cast<size_t>(*found)];
    unreadable_.erase(spelling);
    readers_.older.erase(spelling);
  }

  void expect_photos() const {
    if (filled_ > 0 || report_.stopped) return;
    const auto [name, reason] =
        report_.skipped.empty() ? std::pair<std::string, std::string>() : report_.skipped[0];
    const std::string first = reason.find(name) == std::string::npos ? name + ": " + reason : reason;
    tensor::fail(ErrorKind::data, "encode: none of {} photos can be read; the first: {}", total(), first);
  }

  const LoadedEncoder& encoder_;
  const ImageSource& source_;
  const EncodeOptions& options_;
  EncodeReport& report_;
  std::vector<int64_t> order_;
  std::vector<std::string> names_;
  Tensor features_;
  int64_t filled_ = 0;
  std::map<std::string, int64_t> unreadable_;
  CacheReaders readers_;
  PhotoNames before_;  // of unreadable_ and readers_.older, as they were at first
  const bool on_device_;
};

}  // namespace

std::string feature_key(const LoadedEncoder& encoder, const EncodeOptions& options) {
  std::string key = encoder.key + options.augmentation.key();
  if (options.left_out_stages > 0)
    key += tensor::format(" before the last {} stages", options.left_out_stages);
  return options.batch_statistics == 0
             ? key
             : tensor::format("{} statistics of {} photos", key, options.batch_statistics);
}

DType feature_arithmetic(const LoadedEncoder& encoder, const EncodeOptions& options) {
  return options.batch_statistics == 0 ? encoder.encoder->arithmetic() : DType::f32;
}

FeatureCache encode_photos(const LoadedEncoder& encoder, const ImageSource& source,
                           const std::vector<int64_t>& which, EncodeReport& report,
                           const EncodeOptions& options) {
  return PhotoEncoder(encoder, source, which, report, options).run();
}

}  // namespace imgcap
