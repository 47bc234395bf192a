// From photos to a feature cache: read, decode, resize, encode.
#pragma once

#include <array>
#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "imgcap/data/archive.h"
#include "imgcap/data/augment.h"
#include "imgcap/data/feature_cache.h"
#include "imgcap/data/transform.h"
#include "imgcap/models/encoder.h"

namespace imgcap {

// A frozen encoder with its weights, and how photos are made ready for it.
struct LoadedEncoder {
  std::unique_ptr<Encoder> encoder;
  Preprocessing preprocessing;
  std::string key;  // stands for the name, the weights and the preprocessing; of EncoderUse::captions empty
  std::vector<std::string> remarks;  // sentences for the user: what was left out of a file
};

// What an encoder is loaded for: only classes need its classifier, and for a conversion nothing has to be
// finite. For captions, whose features nobody keeps, it has no key, and its weights stay as the file has them.
enum class EncoderUse { features, captions, classes, conversion };

// `weights` is a safetensors or .pth file with the encoder's (or torchvision's) names, which may all stand
// under one prefix ("state_dict.module.") among others; 16-bit weights are widened. A classifier may have any
// number of classes, and without one it is all zeros. Errors: io, data (missing or misshapen tensors, ones
// that are used and not finite), argument (unknown name).
LoadedEncoder load_encoder(const std::string& name, const std::filesystem::path& weights,
                           EncoderUse use = EncoderUse::features);
// The same from tensors that came from `origin`, for messages.
LoadedEncoder load_encoder(const std::string& name, std::map<std::string, tensor::Tensor> weights,
                           const std::string& origin, EncoderUse use = EncoderUse::features);

// The part of an encoder's key that stands for its weights, with their names as they are loaded.
std::string fingerprint_of(const std::map<std::string, tensor::Tensor>& weights);

// Photos are made ready like this from now on; the key, where there is one, says so. Errors: argument (a key that
// does not end in the preprocessing).
void set_preprocessing(LoadedEncoder& encoder, const Preprocessing& preprocessing);

// What encoding takes of a device's memory, roughly, in bytes.
int64_t encoding_bytes(const LoadedEncoder& encoder);

// (n, p, d) f32 from pictures, in their order, on the encoder's device.
tensor::Tensor encode_images(const LoadedEncoder& encoder, const std::vector<const Image*>& images);
tensor::Tensor encode_images(const LoadedEncoder& encoder, const std::vector<Image>& images);

// How photos are changed before they are encoded. A frozen encoder needs to see a changed photo only once, so
// augmentation comes as whole caches of changed photos ("views") that training takes turns with.
struct Augmentation {
  enum class Kind {
    none,
    mirror,    // left and right exchanged
    mild,      // a random part, mirrored or not (mild_augmentation), with new dice for each view
    original,  // the original's dice (augment.h), thrown once for each view
  };
  Kind kind = Kind::none;
  int64_t view = 0;  // of `mild` and `original`
  uint64_t seed = 0;

  Image operator()(const Image& image, int64_t index) const;
  std::string key() const;  // "" for none; made part of the cache's key
};
constexpr std::array<const char*, 4> names_of(Augmentation::Kind) {
  return {"none", "mirror", "mild", "original"};
}

// The bytes of a photo's file; -1 when it cannot be read.
int64_t file_bytes(const ImageSource& source, int64_t index);

struct EncodeReport {
  std::vector<std::pair<std::string, std::string>> skipped;  // photo, reason
  std::vector<std::pair<std::string, std::string>>
      warned;            // photo, what decoding warns of; encoded all the same
  bool stopped = false;  // before all were encoded
};

struct EncodeOptions {
  Augmentation augmentation;
  // The features that are there already, made by the same encoder in the same arithmetic and augmentation: they
  // come first.
  const FeatureCache* known = nullptr;
  // Photos of `known` that are left out, because they are encoded again.
  std::set<std::string> again;
  CacheReaders readers;  // of the photos that `known` has; what is encoded here is of today's
  std::function<void(int64_t, int64_t)> progress;  // (done, total)
  const std::atomic<bool>* stop = nullptr;         // ends the work after a batch, with what there is
  // A cache that the encoder made in another arithmetic (Encoder::set_arithmetic) is refused, not followed.
  bool keep_arithmetic = false;
  // Over 0: in place of the features, what the encoder's last so many stages take (Encoder::features), for a run
  // that trains them.
  int left_out_stages = 0;
  // Over 0: batch norm works as in training on batches of so many photos, whose statistics move the encoder's
  // running ones: an encoder whose weights are frozen and whose mode is not.
  int64_t batch_statistics = 0;
};

// The key of a cache that encode_photos makes, and its arithmetic: f32 where batch norm learns.
std::string feature_key(const LoadedEncoder& encoder, const EncodeOptions& options);
tensor::DType feature_arithmetic(const LoadedEncoder& encoder, const EncodeOptions& options);

// Features of the given pictures of the source (all when `which` is empty); those that cannot be read are
// skipped and reported, and the cache knows them. Decoding of the next batch goes on while one is encoded. An encoder
// on a device gets larger batches, and features come back from it in 16 bits.
// Errors: data (there is no picture that can be read and none known), argument (what is known is of another
// arithmetic).
FeatureCache encode_photos(const LoadedEncoder& encoder, const ImageSource& source,
                           const std::vector<int64_t>& which, EncodeReport& report,
                           const EncodeOptions& options = {});

}  // namespace imgcap
