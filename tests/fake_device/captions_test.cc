// Captions found on a device that the host may not touch: its kernels are the CPU's, so all bits are the CPU's.
#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "imgcap/decoding/caption_search.h"
#include "imgcap/models/frozen_decoder.h"
#include "tests/decoding/small_decoder.h"
#include "tests/fake_device/fake_device.h"
#include "tests/models/eight_bits.h"

using namespace tests;
using tensor::DType;

namespace {

BeamOptions looking(int64_t beam) {
  BeamOptions options;
  options.beam = options.nbest = beam;
  options.max_words = 8;
  options.attention = true;
  return options;
}

}  // namespace

TEST_CASE("frozen decoders on a device find the CPU's captions, from weights of any type") {
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain})
    for (const DType type : {DType::f32, DType::f16, DType::bf16, DType::u8}) {
      const StoredWeights stored = stored_as(*decoder_of(small_config(kind)), type);
      std::vector<std::vector<Hypothesis>> found[2];
      for (const Device& device : {Device::cpu(), Device::cuda()}) {
        FrozenDecoder decoder(small_config(kind), stored, device);
        CHECK(decoder.device() == device);
        tensor::Generator generator(4);
        SamplingOptions drawn;
        drawn.samples = 2;
        drawn.max_words = 8;
        found[device.is_cpu() ? 0 : 1] = find_captions(
            decoder, random_features(3),
            {{.search = looking(1)}, {.search = looking(4)}, {.search = drawn, .generator = &generator}});
      }
      for (size_t i = 0; i < 3; ++i) {
        REQUIRE(found[0][i].size() == found[1][i].size());
        for (size_t k = 0; k < found[0][i].size(); ++k) {
          CHECK(found[0][i][k].ids == found[1][i][k].ids);
          CHECK(found[0][i][k].token_log_probabilities == found[1][i][k].token_log_probabilities);
          CHECK(found[0][i][k].attention == found[1][i][k].attention);
        }
      }
    }
}

TEST_CASE("a frozen decoder's weights are as narrow on a device as in their file") {
  const auto decoder = decoder_of(small_config(DecoderKind::attention));
  const auto bytes_of = [&](DType type) {
    const int64_t before = fake_device_counts().bytes_in_use;
    const FrozenDecoder frozen(decoder->config(), stored_as(*decoder, type), Device::cuda());
    return fake_device_counts().bytes_in_use - before;
  };
  CHECK(bytes_of(DType::f16) < bytes_of(DType::f32));
  CHECK(bytes_of(DType::u8) < bytes_of(DType::f16));
  CHECK(fake_device_counts().blocks_in_use == 0);
}
