#include <cmath>
#include <filesystem>

#include "imgcap/bench/jobs.h"
#include "imgcap/bench/temporary_folder.h"
#include "imgcap/data/vocabulary.h"
#include "imgcap/decoding/beam_search.h"
#include "imgcap/models/decoder.h"
#include "imgcap/models/frozen_decoder.h"
#include "imgcap/training/feature_loading.h"
#include "tensor/error.h"
#include "tensor/kernels.h"

namespace imgcap::bench {
namespace {

std::unique_ptr<Encoder> random_encoder(const char* name) {
  auto encoder = make_encoder(name);
  encoder->freeze();
  return encoder;
}

std::string arithmetic(Precision precision) {
  return precision == Precision::f32 ? "float32" : to_string(precision);
}

Row encoding(const char* name, const char* title, int64_t photos, int64_t calls, const RowOptions& options) {
  tensor::Generator generator(1);
  const auto encoder = random_encoder(name);
  encoder->to(options.device);
  const tensor::Tensor pictures = random_normal({photos, 3, 224, 224}, generator).to(options.device);
  Row row;
  row.what = tensor::format("frozen {}, {}, {}", title,
                            photos == 1 ? "1 photo" : tensor::format("{} photos at once", photos),
                            arithmetic(options.precision));
  row.unit = "photos";
  row.per_call = static_cast<double>(photos);
  row.timing = measure([&] { encode(*encoder, pictures, options.precision); }, 2, calls, options.device);
  return row;
}

// Untrained features are huge and saturate the attention; divided by their deviation they cost what trained
// ones do.
double deviation_of(const Tensor& features) {
  const Tensor dense = features.to(tensor::Device::cpu()).contiguous();
  const float* x = dense.data<float>();
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < dense.numel(); ++i) sum += x[i], squares += static_cast<double>(x[i]) * x[i];
  const auto n = static_cast<double>(dense.numel());
  return std::sqrt(squares / n - sum / n * (sum / n));
}

// The pictures of a folder again and again, until there are `photos` of them, as links in another one.
void link_photos(const std::string& folder, int64_t photos, const std::filesystem::path& into) {
  const ImageSource source({folder});
  for (int64_t i = 0; i < photos; ++i) {
    const std::filesystem::path photo = source.location(i % source.size());
    std::filesystem::create_symlink(std::filesystem::absolute(photo),
                                    into / tensor::format("{:06d}{}", i, photo.extension().string()));
  }
}

double seconds_to_prepare(const LoadedEncoder& encoder, const std::string& folder,
                          const TemporaryFolder& out) {
  const std::string cache = out / "features.safetensors";
  std::filesystem::remove(cache);
  const auto start = std::chrono::steady_clock::now();
  load_or_encode_features(encoder, {folder}, {}, cache, {}, {});
  return seconds_since(start);
}

}  // namespace

tensor::Tensor encode(Encoder& encoder, const tensor::Tensor& pictures, Precision precision) {
  encoder.set_arithmetic(dtype_of(precision));
  return encoder.features(pictures);
}

Row resnet50_b1(const RowOptions& o) { return encoding("resnet50", "ResNet50", 1, o.calls * 4, o); }
Row resnet50_b8(const RowOptions& o) { return encoding("resnet50", "ResNet50", 8, o.calls, o); }
Row resnet50_b256(const RowOptions& o) { return encoding("resnet50", "ResNet50", 256, o.calls, o); }
Row lite2_b1(const RowOptions& o) {
  return encoding("efficientnet_lite2", "EfficientNet-Lite2", 1, o.calls * 8, o);
}
Row lite2_b16(const RowOptions& o) {
  return encoding("efficientnet_lite2", "EfficientNet-Lite2", 16, o.calls, o);
}
Row lite2_b256(const RowOptions& o) {
  return encoding("efficientnet_lite2", "EfficientNet-Lite2", 256, o.calls, o);
}

Row prepare(const RowOptions& o) {
  const LoadedEncoder encoder = load_encoder("efficientnet_lite2", o.weights);
  encoder.encoder->to(o.device);
  encoder.encoder->set_arithmetic(dtype_of(o.precision));
  const TemporaryFolder out;
  const int64_t photos = ImageSource({o.photos}).size();
  Row row;
  row.what = tensor::format("{} photos from files to a cache of features, EfficientNet-Lite2, {}", photos,
                            arithmetic(o.precision));
  row.unit = "photos";
  row.per_call = static_cast<double>(photos);
  row.timing = measure([&] { seconds_to_prepare(encoder, o.photos, out); }, 1, o.calls, o.device);
  return row;
}

// Photos are used again and again; once, as it takes long.
Row encode_31783(const RowOptions& o) {
  constexpr int64_t kPhotos = 31'783;
  const LoadedEncoder encoder = load_encoder("efficientnet_lite2", o.weights);
  encoder.encoder->to(o.device);
  encoder.encoder->set_arithmetic(dtype_of(o.precision));
  const TemporaryFolder links, out;
  link_photos(o.photos, kPhotos, links.path());
  seconds_to_prepare(encoder, o.photos, out);
  Row row;
  row.what = tensor::format(
      "{} photos, as many as Flickr30k's, from files to a cache of features, EfficientNet-Lite2, {}", kPhotos,
      arithmetic(o.precision));
  row.unit = "photos";
  row.per_call = kPhotos;
  row.timing = measure([&] { seconds_to_prepare(encoder, links.path().string(), out); }, 0, 1, o.device);
  return row;
}

double time_prepare(const std::string& folder, const std::string& weights, int64_t photos) {
  const LoadedEncoder encoder = load_encoder("efficientnet_lite2", weights);
  const TemporaryFolder links, out;
  link_photos(folder, photos, links.path());
  return seconds_to_prepare(encoder, links.path().string(), out);
}

Row caption_resnet50(const RowOptions& options) {
  tensor::Generator generator(1);
  const auto encoder = random_encoder("resnet50");
  encoder->to(options.device);
  DecoderConfig config;
  const auto decoder = make_decoder(config, generator);
  decoder->eval();
  // Random weights would end a caption anywhere: no end, so that each run makes all steps.
  decoder->parameter(Decoder::kOutputBias).mutable_data().mutable_data<float>()[kEos] = -100;
  FrozenDecoder frozen(config, stored_weights(*decoder, dtype_of(options.precision)), options.device);
  const Tensor picture = random_normal({1, 3, 224, 224}, generator).to(options.device);
  const double scale = 1 / deviation_of(encode(*encoder, picture, options.precision));
  BeamOptions search;
  search.beam = 5;
  search.max_words = 30;
  Row row;
  row.what = "one photo to a caption of 30 words, beam 5, ResNet50, original widths, " +
             arithmetic(options.precision);
  row.unit = "photos";
  row.timing = measure(
      [&] {
        const Tensor map = encode(*encoder, picture, options.precision).permute({0, 2, 3, 1}).contiguous();
        Tensor features =
            Tensor::empty({1, map.size(1) * map.size(2), map.size(3)}, map.dtype(), map.device());
        tensor::kernels::affine(features, map.view(features.shape()), scale, 0);
        beam_search(frozen, features, search);
      },
      2, options.calls * 2, options.device);
  return row;
}

}  // namespace imgcap::bench
