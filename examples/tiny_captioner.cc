// A captioner in 150 lines. "Photos" are made-up feature maps of two places, each with a coloured animal or
// nothing; captions read them from left to right. Trains on most of the 90 combinations and captions the
// others, which it has never seen.
//   tiny_captioner [DEVICE]      cpu, or cuda where the build has it
#include <fmt/core.h>

#include "autograd/ops.h"
#include "imgcap/models/decoder.h"
#include "optim/adam.h"
#include "optim/clip.h"
#include "tensor/error.h"
#include "tensor/format.h"
#include "tensor/random.h"

using autograd::Variable;
using tensor::Device;
using tensor::Generator;
using tensor::Tensor;

namespace {

enum Word : int64_t { kUnknown, kPad, kStart, kEnd, kA, kAnd, kColour = 6, kAnimal = 9, kWords = 12 };
const char* const kText[] = {"<unk>", "<pad>", "<sos>", "<eos>", "a",   "and",
                             "red",   "green", "blue",  "dog",   "cat", "bird"};
constexpr int64_t kPlaces = 2, kChannels = 8;  // channels: 3 colours, 3 animals, left, right

// What is at a place: colour and animal, 0..8; -1 is nothing.
struct Scene {
  int64_t left = -1, right = -1;
};

std::vector<int64_t> caption(const Scene& scene) {
  std::vector<int64_t> words = {kStart, kA, kColour + scene.left / 3, kAnimal + scene.left % 3};
  if (scene.right >= 0)
    words.insert(words.end(), {kAnd, kA, kColour + scene.right / 3, kAnimal + scene.right % 3});
  words.push_back(kEnd);
  return words;
}

// One-hot colour, animal and place, and some noise, as (scenes, places, channels).
Tensor features(const std::vector<Scene>& scenes, Generator& generator, const Device& device) {
  std::vector<float> values;
  for (const Scene& scene : scenes)
    for (int64_t place = 0; place < kPlaces; ++place) {
      const int64_t thing = place == 0 ? scene.left : scene.right;
      for (int64_t c = 0; c < kChannels; ++c) {
        const bool on = thing >= 0 && (c == thing / 3 || c == 3 + thing % 3);
        values.push_back(static_cast<float>((on || c == 6 + place) + 0.1 * generator.normal()));
      }
    }
  return Tensor::from(values, {static_cast<int64_t>(scenes.size()), kPlaces, kChannels}, device);
}

imgcap::CaptionBatch batch_of(const std::vector<Scene>& scenes, const Tensor& maps) {
  std::vector<imgcap::CaptionRow> rows;
  for (const Scene& scene : scenes) rows.push_back({static_cast<int64_t>(rows.size()), caption(scene)});
  return imgcap::pack(maps, rows);
}

// The likeliest word at each step, for all scenes at once.
std::vector<std::vector<int64_t>> greedy(imgcap::Decoder& decoder, const Tensor& maps) {
  std::vector<std::vector<int64_t>> captions(static_cast<size_t>(maps.size(0)), {kStart});
  imgcap::DecodingState state = decoder.start(maps);
  Tensor words = Tensor::full({maps.size(0)}, kStart, tensor::DType::i64, maps.device());
  for (int step = 0; step < 10; ++step) {
    words = autograd::argmax(decoder.step(state, words));
    const std::vector<int64_t> ids = words.to_vector<int64_t>();
    for (size_t i = 0; i < ids.size(); ++i)
      if (captions[i].back() != kEnd) captions[i].push_back(ids[i]);
  }
  return captions;
}

std::string text_of(const std::vector<int64_t>& words) {
  std::vector<std::string> parts;
  for (const int64_t word : words)
    if (word != kStart && word != kEnd) parts.emplace_back(kText[word]);
  return tensor::join(parts, " ");
}

// Whether it captions almost all scenes that it has not seen.
bool learns(const Device& device) {
  std::vector<Scene> train, unseen;
  for (int64_t left = 0; left < 9; ++left)
    for (int64_t right = -1; right < 9; ++right)
      ((3 * left + right) % 7 == 3 ? unseen : train).push_back({left, right});

  Generator generator(1);
  imgcap::DecoderConfig config;
  config.vocabulary = kWords;
  config.features = kChannels;
  config.embedding = 16;
  config.hidden = config.attention = 32;
  config.layers = 1;
  config.layer_dropout = 0;
  const std::unique_ptr<imgcap::Decoder> decoder = imgcap::make_decoder(config, generator);
  decoder->to(device);
  optim::AdamW optimizer(decoder->named_parameters(), {.lr = 1e-2});

  imgcap::LossOptions options;
  options.generator = &generator;
  for (int step = 1; step <= 200; ++step) {
    // New noise in every step: new photos of the same scenes.
    const Tensor maps = features(train, generator, device);
    const imgcap::CaptionLoss result = decoder->loss(batch_of(train, maps), options);
    optimizer.zero_grad();
    result.loss.backward();
    optim::clip_grad_norm_(decoder->parameters(), 1);
    optimizer.step();
    if (step % 40 == 0) fmt::print("step {}: loss {:.4f}\n", step, result.loss.item());
  }

  decoder->eval();
  const auto captions = greedy(*decoder, features(unseen, generator, device));
  size_t right = 0;
  for (size_t i = 0; i < unseen.size(); ++i) {
    right += captions[i] == caption(unseen[i]);
    if (i < 3) fmt::print("\"{}\" should be \"{}\"\n", text_of(captions[i]), text_of(caption(unseen[i])));
  }
  fmt::print("{} of {} unseen scenes captioned word for word\n", right, unseen.size());
  return 10 * right >= 9 * unseen.size();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return learns(argc > 1 ? tensor::parse_device(argv[1]) : Device::cpu()) ? 0 : 1;
  } catch (const tensor::Error& error) {
    fmt::print(stderr, "tiny_captioner: {}\n", error.what());
    return 2;
  }
}
