#include <algorithm>

#include "autograd/autocast.h"
#include "imgcap/bench/jobs.h"
#include "imgcap/data/vocabulary.h"
#include "imgcap/decoding/caption_search.h"
#include "imgcap/models/decoder.h"

namespace imgcap::bench {

Row search_1000(const RowOptions& options) {
  constexpr int64_t kImages = 1000, kAtOnce = 250, kPlaces = 49;
  const DecoderConfig config;
  tensor::Generator generator(1);
  const auto decoder = make_decoder(config, generator);
  // Random weights would end a caption anywhere: no end, so that each makes all steps.
  decoder->parameter(Decoder::kOutputBias).mutable_data().mutable_data<float>()[kEos] = -100;
  decoder->to(options.device);
  decoder->eval();
  const Tensor features = random_normal({kAtOnce, kPlaces, config.features}, generator).to(options.device);
  BeamOptions beam;
  beam.beam = 5;
  beam.max_words = 30;
  const std::vector<SearchRequest> requests(kAtOnce, SearchRequest{.search = beam});
  Row row;
  row.what = tensor::format(
      "{} images' features to captions of 30 words, beam 5, {} at once, original widths, {}", kImages,
      kAtOnce,
      options.precision == Precision::f32 ? "float32" : "autocast to " + to_string(options.precision));
  row.unit = "captions";
  row.per_call = kImages;
  row.timing = measure(
      [&] {
        const autograd::AutocastGuard autocast(dtype_of(options.precision));
        for (int64_t done = 0; done < kImages; done += kAtOnce) find_captions(*decoder, features, requests);
      },
      1, std::min<int64_t>(options.calls, 5), options.device);
  return row;
}

}  // namespace imgcap::bench
