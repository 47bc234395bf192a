// Photos to captions, from several threads and in any company.
#include "imgcap/captioner.h"

#include <doctest/doctest.h>

#include <thread>

#include "autograd/observer.h"
#include "tensor/error.h"

using namespace imgcap;

namespace {

// Random weights; pictures of 64 x 64, that is 2 x 2 places.
Captioner small_captioner(DecoderKind kind = DecoderKind::attention) {
  Checkpoint info;
  info.vocabulary = {"<unk>", "<pad>", "<sos>", "<eos>", "  "};
  for (int i = 0; i < 60; ++i) info.vocabulary.push_back(tensor::format(" w{}", i));
  DecoderConfig& config = info.decoder;
  config.kind = kind;
  config.vocabulary = static_cast<int64_t>(info.vocabulary.size());
  config.features = 512;
  config.embedding = config.hidden = config.attention = 64;
  config.initial_state = kind == DecoderKind::attention;
  config.layers = 1;
  config.layer_dropout = 0;
  tensor::Generator generator(3);
  std::unique_ptr<Decoder> decoder = make_decoder(config, generator);
  Tensor& last = decoder->parameter("fc.weight").mutable_data();
  float* weight = last.mutable_data<float>();
  for (int64_t i = 0; i < last.numel(); ++i) weight[i] *= 12;
  decoder->eval();
  tensor::default_generator().set_state(5, 0);
  LoadedEncoder encoder;
  encoder.encoder = make_encoder("resnet18");
  encoder.encoder->freeze();
  encoder.preprocessing.height = encoder.preprocessing.width = 64;
  Vocabulary vocabulary = info.make_vocabulary();
  return Captioner({std::move(info), std::move(decoder), std::move(vocabulary), std::move(encoder)});
}

std::vector<Image> made_photos(size_t count) {
  std::vector<Image> photos;
  for (size_t i = 0; i < count; ++i) {
    photos.emplace_back(static_cast<int64_t>(50 + 9 * i), 64);
    for (size_t k = 0; k < photos[i].pixels.size(); ++k)
      photos[i].pixels[k] = static_cast<uint8_t>(k * (2 * i + 3) / 7 + 40 * i);
  }
  return photos;
}

// One of each kind, in turn; a third of the photos come as features.
std::vector<CaptionRequest> requests_of(const Captioner& captioner, const std::vector<Image>& photos) {
  std::vector<CaptionRequest> requests;
  for (size_t i = 0; i < photos.size(); ++i) {
    CaptionRequest request;
    if (i % 3 == 2)
      request.features = encode_images(captioner.encoder(), {photos[i]}).select(0, 0);
    else
      request.image = &photos[i];
    BeamOptions beam;
    beam.beam = i % 4 == 0 ? 1 : 4;
    beam.nbest = i % 4 == 0 ? 1 : 3;
    beam.max_words = 8;
    beam.attention = true;
    beam.kind = i % 4 == 3 ? SearchKind::hundred_steps : SearchKind::standard;
    request.search = beam;
    if (i % 4 == 2) {
      SamplingOptions drawn;
      drawn.max_words = 6;
      drawn.samples = 2;
      request.search = drawn;
      request.seed = i;
    }
    requests.push_back(request);
  }
  return requests;
}

void check_equal(const CaptionResult& a, const CaptionResult& b) {
  CHECK(a.stopped == b.stopped);
  REQUIRE(a.captions.size() == b.captions.size());
  for (size_t k = 0; k < a.captions.size(); ++k) {
    const PhotoCaption &x = a.captions[k], &y = b.captions[k];
    CHECK(x.text == y.text);
    CHECK(x.log_probability == y.log_probability);
    CHECK(x.finished == y.finished);
    CHECK(x.attention.words == y.attention.words);
    CHECK(x.attention.maps == y.attention.maps);
  }
}

}  // namespace

TEST_CASE("a captioner's results have the same bits alone, in a batch and from eight threads at once") {
  const std::vector<Image> photos = made_photos(8);
  std::vector<CaptionResult> together;
  {
    const Captioner captioner = small_captioner();
    const auto requests = requests_of(captioner, photos);
    together = captioner.caption(requests);
    REQUIRE(together.size() == 8);
    for (size_t i = 0; i < 8; ++i) {
      CAPTURE(i);
      check_equal(captioner.caption(requests[i]), together[i]);
    }
    CHECK(captioner.caption(std::vector<CaptionRequest>{}).empty());
    CHECK(together[0].captions.size() == 1);
    CHECK(together[1].captions.size() == 3);
    CHECK(together[2].captions.size() == 2);
    CHECK(together[3].captions.front().text.starts_with("<sos>"));
    CHECK(together[0].captions.front().text != together[4].captions.front().text);
    CHECK(together[0].captions.front().attention.rows == 2);
    CHECK(together[0].captions.front().attention.maps.front().size() == 4);
    CHECK(together[2].captions.front().attention.maps.empty());  // not asked for
  }
  const Captioner captioner = small_captioner();  // has not been asked yet
  const auto requests = requests_of(captioner, photos);
  std::vector<std::vector<CaptionResult>> found(8);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 8; ++t)
    threads.emplace_back([&, t] {
      const auto from = requests.begin() + static_cast<std::ptrdiff_t>(t % 3) * 2;
      found[t] = captioner.caption({from, from + 4});
    });
  for (std::thread& thread : threads) thread.join();
  for (size_t t = 0; t < 8; ++t)
    for (size_t i = 0; i < 4; ++i) check_equal(found[t][i], together[t % 3 * 2 + i]);
}

TEST_CASE("a captioner of either kind records no graph") {
  struct Recorded final : autograd::Observer {
    int64_t ops = 0, nodes = 0;
    void op(const autograd::Node* node, const std::vector<Tensor>&, const autograd::Variables&) override {
      ++ops;
      nodes += node != nullptr;
    }
  };
  const std::vector<Image> photos = made_photos(1);
  for (const DecoderKind kind : {DecoderKind::attention, DecoderKind::plain}) {
    const Captioner captioner = small_captioner(kind);
    const Recorded recorded;
    captioner.caption({.image = &photos[0]});
    CHECK(recorded.ops > 0);
    CHECK(recorded.nodes == 0);
  }
}

TEST_CASE("a caption can be read while it grows, and stopped") {
  const Captioner captioner = small_captioner();
  const std::vector<Image> photos = made_photos(2);
  CaptionRequest request;
  request.image = &photos[1];
  BeamOptions options;
  options.beam = 1;
  options.max_words = 8;
  request.search = options;
  std::vector<std::string> told;
  request.on_word = [&](const std::string& text) { told.push_back(text); };
  const PhotoCaption whole = captioner.caption(request).captions.front();
  REQUIRE(told.size() >= 3);
  CHECK(told.back() == whole.text);
  for (size_t i = 1; i < told.size(); ++i) CHECK(told[i].starts_with(told[i - 1] + " "));
  // From within, before the third step; the other photo's caption stays what it is.
  std::atomic<bool> stop = false;
  size_t words = 0;
  request.stop = &stop;
  request.on_word = [&](const std::string&) { stop = ++words == 2; };
  CaptionRequest other;
  other.image = &photos[0];
  const CaptionResult undisturbed = captioner.caption(other);
  const auto results = captioner.caption({request, other});
  CHECK(results[0].stopped);
  CHECK(results[0].captions.front().text == told[1]);
  CHECK_FALSE(results[0].captions.front().finished);
  CHECK_FALSE(results[1].stopped);
  check_equal(results[1], undisturbed);
  // Before the first.
  const CaptionResult none = captioner.caption(request);
  CHECK(none.stopped);
  CHECK(none.captions.front().text == "");
}

TEST_CASE("a captioner takes red for blue as the original's page does, and has no maps without attention") {
  const Captioner captioner = small_captioner(DecoderKind::plain);
  const std::vector<Image> photos = made_photos(1);
  Image swapped = photos[0];
  for (size_t i = 0; i < swapped.pixels.size(); i += 3) std::swap(swapped.pixels[i], swapped.pixels[i + 2]);
  BeamOptions options;
  options.kind = SearchKind::hundred_steps;
  options.attention = true;
  const CaptionResult found =
      captioner.caption({.image = &photos[0], .search = options, .swap_red_and_blue = true});
  const auto features = encode_images(captioner.encoder(), {swapped});
  const Hypothesis best = find_captions(captioner.decoder(), features, {{.search = options}})[0][0];
  CHECK(found.captions.front().log_probability == best.log_probability);
  CHECK(found.captions.front().text == text_of(best, captioner.vocabulary(), TextForm::tokens));
  CHECK(found.captions.front().attention.maps.empty());
  CHECK(captioner.caption({.image = &swapped, .search = options, .swap_red_and_blue = true})
            .captions.front()
            .log_probability != best.log_probability);
}

TEST_CASE("requests that a captioner cannot answer are refused") {
  const Captioner captioner = small_captioner();
  const auto refused = [&](const std::vector<CaptionRequest>& requests) {
    try {
      captioner.caption(requests);
    } catch (const tensor::Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refused({{}}) == "captioner: request 0 has no photo");
  CHECK(refused({{.features = Tensor::zeros({4, 512})}, {.features = Tensor::zeros({3, 512})}}) ==
        "captioner: features (3, 512) f32 beside (4, 512) f32; (places, channels) f32 are needed");
  CHECK(refused({{.features = Tensor::zeros({2, 4, 512})}}) ==
        "captioner: features (2, 4, 512) f32 beside (2, 4, 512) f32; (places, channels) f32 are needed");
  CHECK(refused({{.features = Tensor::zeros({4, 511})}}).find("decoder: features") == 0);
}
