#include "imgcap/training/memory.h"

#include <algorithm>

#include "imgcap/models/decoder.h"
#include "nn/init.h"

namespace imgcap {
namespace {

// Of what a device's driver, its library of products and the blocks that go round take besides.
constexpr int64_t kBesides = int64_t{512} << 20;
// Of an encoder with what it makes of a few photos, before the run; and of each photo in each stage that is trained.
constexpr int64_t kEncoding = int64_t{1} << 30, kTrainedStage = int64_t{16} << 20;
constexpr int64_t kCaptions = 5, kTokens = 30, kPlaces = 64;  // of a photo, of a caption, of a grid

int64_t parameters_of(const DecoderConfig& model) {
  const nn::SkipInit skip;
  return make_decoder(model)->parameter_count();
}

}  // namespace

int64_t training_bytes(const DecoderConfig& m, const TrainOptions& o) {
  const bool critical = o.objective == Objective::self_critical, low = o.precision != Precision::f32;
  // Weight, gradient, two moments; an average; operands of 16 bits.
  const int64_t for_each = 4 * 4 + (o.average_decay > 0 ? 4 : 0) + (low ? 2 : 0);
  const int64_t photos = o.batch_photos, captions = photos * (critical ? o.samples : kCaptions);
  const int64_t words = captions * (o.max_tokens > 0 ? o.max_tokens : kTokens);
  // Of a word, forward and its gradient: gates, states and input of each layer, what attention found, scores.
  const int64_t state = m.layers * 7 * m.hidden + m.embedding;
  const int64_t attention = m.kind == DecoderKind::attention ? m.attention + 3 * m.features + kPlaces : 0;
  const int64_t word = 2 * (state + attention) + 3 * m.vocabulary;
  // Of a photo: features as they come and widened, keys and their gradient.
  const int64_t photo = kPlaces * (2 * m.features + 3 * m.attention);
  const int64_t training =
      parameters_of(m) * for_each + 4 * (words * word + photos * photo) + photos * o.finetune * kTrainedStage;
  return kBesides + std::max(kEncoding, training);
}

}  // namespace imgcap
