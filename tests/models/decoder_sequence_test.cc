// The decoder's one node beside its twin of plain ops, in all its settings; the words that it picks; its
// errors.
#include "imgcap/models/decoder_sequence/decoder_sequence.h"

#include "autograd/engine.h"
#include "autograd/ops.h"
#include "autograd/testing/gradcheck.h"
#include "tests/tensor/reference.h"

using namespace autograd;
using imgcap::decoder_sequence, imgcap::decoder_sequence_composed;
using imgcap::DecoderDropout, imgcap::DecoderInputs, imgcap::DecoderOutputs, imgcap::DecoderWeights;
using tests::check_error;
using tests::random;
using tests::values;

namespace {

constexpr int64_t kVocabulary = 7, kEmbedding = 3, kHidden = 2, kAttention = 4, kFeature = 5, kRows = 3,
                  kPlaces = 2;

struct Setting {
  int layers = 1;
  bool attention = true, gate = false, first_input = false, score_bias = false, state = false,
       output_bias = false;
  double embedding_dropout = 0, layer_dropout = 0;
  std::vector<bool> teacher = {true, true, true, true};
};

Tensor integers(std::vector<int64_t> v, const Shape& shape) { return Tensor::from(v, shape); }

// Parameters and inputs of a decoder, the same numbers for the same setting.
struct Decoder {
  DecoderWeights weights;
  DecoderInputs inputs;
  Variables leaves;

  explicit Decoder(const Setting& s) {
    uint64_t seed = 0;
    const auto leaf = [&](const Shape& shape) {
      leaves.emplace_back(random(shape, DType::f64, ++seed, -1, 1), true);
      return leaves.back();
    };
    weights.embedding = leaf({kVocabulary, kEmbedding});
    for (int l = 0; l < s.layers; ++l) {
      const int64_t in = l > 0 ? kHidden : kEmbedding + (s.attention ? kFeature : 0);
      weights.layers.push_back(
          {leaf({4 * kHidden, in}), leaf({4 * kHidden, kHidden}), leaf({4 * kHidden}), leaf({4 * kHidden})});
    }
    if (s.attention) {
      weights.query_weight = leaf({kAttention, kHidden});
      weights.score_weight = leaf({kAttention});
      inputs.keys = leaf({2, kPlaces, kAttention});
      inputs.values = leaf({2, kPlaces, kFeature});
      inputs.image = integers({0, 1, 1}, {kRows});
    }
    if (s.score_bias) weights.score_bias = leaf({1});
    if (s.gate) weights.gate_weight = leaf({kFeature, kHidden}), weights.gate_bias = leaf({kFeature});
    if (s.first_input) inputs.first_input = leaf({kRows, kEmbedding});
    if (s.state) inputs.h0 = leaf({s.layers, kRows, kHidden}), inputs.c0 = leaf({s.layers, kRows, kHidden});
    weights.output_weight = random({kVocabulary, kHidden}, DType::f64, 90);
    if (s.output_bias) weights.output_bias = random({kVocabulary}, DType::f64, 91);
    inputs.words = integers({2, 4, 5, 1, 2, 6, 1, 0, 2, 0, 0, 0}, {kRows, 4});
    inputs.rows = {3, 2, 2, 1};
    inputs.teacher = s.teacher;
  }
};

using Sequence = DecoderOutputs (*)(const DecoderWeights&, const DecoderInputs&, const DecoderDropout&);

struct Result {
  DecoderOutputs outputs;
  Variables gradients;
  uint64_t drawn = 0;
};

Result run(Sequence sequence, const Setting& s, bool train = true) {
  const Decoder decoder(s);
  tensor::Generator generator(5);
  Result result;
  result.outputs =
      sequence(decoder.weights, decoder.inputs, {s.embedding_dropout, s.layer_dropout, train, &generator});
  result.drawn = generator.offset();
  Variable score = sum(result.outputs.hidden * random(result.outputs.hidden.shape(), DType::f64, 50));
  if (s.attention)
    score = score + sum(result.outputs.alpha * random(result.outputs.alpha.shape(), DType::f64, 51));
  // A backward pass that keeps the graph writes to nothing that was saved, the last one may.
  const Variables kept = grad({score}, decoder.leaves, {}, true);
  for (const bool keep : {true, false}) {
    result.gradients = grad({score}, decoder.leaves, {}, keep);
    for (size_t i = 0; i < kept.size(); ++i)
      CHECK(values(kept[i].data()) == values(result.gradients[i].data()));
  }
  return result;
}

const Setting kSettings[] = {
    {},
    {.layers = 2, .score_bias = true},
    {.layers = 3, .gate = true, .state = true},
    {.attention = false},
    {.layers = 2, .attention = false, .first_input = true},
    {.layers = 2, .attention = false, .state = true},
    {.gate = true, .embedding_dropout = 0.4},
    {.layers = 2, .layer_dropout = 0.4},
    {.layers = 3,
     .gate = true,
     .score_bias = true,
     .state = true,
     .embedding_dropout = 0.3,
     .layer_dropout = 0.5},
    {.layers = 3, .attention = false, .first_input = true, .embedding_dropout = 0.3, .layer_dropout = 0.5},
    {.layers = 2, .teacher = {true, false, false, false}},
    {.layers = 2, .output_bias = true, .layer_dropout = 0.4, .teacher = {true, false, true, false}},
    {.attention = false, .first_input = true, .output_bias = true, .teacher = {true, false, true, true}},
    // Masks stay those of the steps' order, whichever words are known beforehand.
    {.layers = 2, .embedding_dropout = 0.3, .layer_dropout = 0.4, .teacher = {true, false, true, true}},
    {.layers = 3,
     .attention = false,
     .first_input = true,
     .embedding_dropout = 0.3,
     .layer_dropout = 0.4,
     .teacher = {true, true, false, true}}};

}  // namespace

TEST_CASE("the decoder sequence is its composed twin: outputs, words, dropout masks and every gradient") {
  for (size_t k = 0; k < std::size(kSettings); ++k) {
    const Setting& s = kSettings[k];
    CAPTURE(k);
    const Result fused = run(decoder_sequence, s), composed = run(decoder_sequence_composed, s);
    const auto close = [](const Variable& a, const Variable& b) {
      CHECK(a.shape() == b.shape());
      CHECK(tests::worst_relative(values(a.data()), values(b.data()), 1e-3) < 1e-11);
    };
    close(fused.outputs.hidden, composed.outputs.hidden);
    if (s.attention) close(fused.outputs.alpha, composed.outputs.alpha);
    CHECK(fused.outputs.alpha.defined() == s.attention);
    CHECK(fused.outputs.fed.to_vector<int64_t>() == composed.outputs.fed.to_vector<int64_t>());
    CHECK(fused.drawn == composed.drawn);
    const bool drops = s.embedding_dropout + s.layer_dropout > 0;
    CHECK((fused.drawn > 0) == drops);
    REQUIRE(fused.gradients.size() == composed.gradients.size());
    for (size_t i = 0; i < fused.gradients.size(); ++i) {
      CAPTURE(i);
      close(fused.gradients[i], composed.gradients[i]);
    }
    // Dropout acts in training only.
    const Result evaluated = run(decoder_sequence, s, false);
    CHECK(evaluated.drawn == 0);
    CHECK((values(evaluated.outputs.hidden.data()) == values(fused.outputs.hidden.data())) == !drops);
    CHECK(fused.outputs.hidden.shape() == Shape{8, kHidden});
  }
}

TEST_CASE("the decoder sequence feeds the teacher's words, or those that its own output scores highest") {
  Setting s{.teacher = {true, false, false, true}};
  Decoder decoder(s);
  const auto fed = [&](Sequence sequence) {
    return sequence(decoder.weights, decoder.inputs, {}).fed.to_vector<int64_t>();
  };
  // The states do not matter: word 4 has the largest bias.
  decoder.weights.output_weight = Tensor::zeros({kVocabulary, kHidden}, DType::f64);
  decoder.weights.output_bias = Tensor::from<double>({0, 1, 2, 3, 9, 5, 6}, {kVocabulary});
  for (const Sequence sequence : {decoder_sequence, decoder_sequence_composed})
    CHECK(fed(sequence) == std::vector<int64_t>{2, 2, 2, 4, 4, 4, 4, 1});
  // The score is W h: with opposite rows 3 and 5 it is the sign of h's first element that picks.
  decoder.weights.output_bias = Tensor();
  std::vector<double> w(kVocabulary * kHidden, 0);
  w[3 * kHidden] = 1, w[5 * kHidden] = -1;
  decoder.weights.output_weight = Tensor::from(w, {kVocabulary, kHidden});
  for (const Sequence sequence : {decoder_sequence, decoder_sequence_composed}) {
    const DecoderOutputs out = sequence(decoder.weights, decoder.inputs, {});
    const auto words = out.fed.to_vector<int64_t>();
    const auto h = values(out.hidden.data());
    for (size_t row = 0; row < 4; ++row) {  // steps 1 and 2, of two rows each; the rows before them
      const size_t before = row < 2 ? row : row + 1;
      CHECK(words[3 + row] == (h[before * kHidden] > 0 ? 3 : 5));
    }
    CHECK(words[7] == 1);
  }
}

TEST_CASE("the decoder sequence says what is missing, wrong or does not go together") {
  const auto refused = [](ErrorKind kind, const std::string& text, const Setting& s,
                          const std::function<void(Decoder&)>& change) {
    CAPTURE(text);
    for (const Sequence sequence : {decoder_sequence, decoder_sequence_composed}) {
      Decoder decoder(s);
      change(decoder);
      check_error(kind, {"decoder_sequence: " + text},
                  [&] { sequence(decoder.weights, decoder.inputs, {}); });
    }
  };
  const auto zeros = [](const Shape& shape) { return Tensor::zeros(shape, DType::f64); };
  const auto argument = ErrorKind::argument, shape = ErrorKind::shape;
  const Setting plain, bare{.attention = false},
      gated{.layers = 2, .gate = true, .score_bias = true, .state = true};
  const char* needed = "an embedding (v, e) and at least one LSTM layer are needed";
  refused(argument, needed, plain, [](Decoder& d) { d.weights.layers.clear(); });
  refused(argument, needed, plain, [](Decoder& d) { d.weights.embedding = {}; });
  refused(argument, needed, plain, [&](Decoder& d) { d.weights.embedding = zeros({3}); });
  const char* words = "the words have to be (rows, steps) i64";
  refused(shape, words, plain, [](Decoder& d) { d.inputs.words = Tensor(); });
  refused(shape, words, plain, [](Decoder& d) { d.inputs.words = integers({1, 2, 3}, {3}); });
  refused(shape, words, plain, [](Decoder& d) { d.inputs.words = Tensor::zeros({3, 4}, DType::i32); });
  refused(shape, "packed words", plain, [](Decoder& d) { d.inputs.fed = integers({1, 2, 3}, {3}); });
  refused(shape, "packed words", plain, [](Decoder& d) { d.inputs.fed = Tensor::zeros({8}, DType::i32); });
  refused(shape, "no words in (0, 4)", plain, [](Decoder& d) { d.inputs.words = integers({}, {0, 4}); });
  refused(shape, "no words in (3, 0)", plain, [](Decoder& d) { d.inputs.words = integers({}, {3, 0}); });
  refused(argument, "3 row counts and 4 coins for 4 steps", plain,
          [](Decoder& d) { d.inputs.rows.pop_back(); });
  refused(argument, "4 row counts and 3 coins for 4 steps", plain,
          [](Decoder& d) { d.inputs.teacher.pop_back(); });
  refused(argument, "step 0 has no former step", plain, [](Decoder& d) { d.inputs.teacher[0] = false; });
  refused(argument, "step 0 has 2 rows", plain, [](Decoder& d) { d.inputs.rows = {2, 2, 2, 1}; });
  refused(argument, "step 0 has 4 rows", plain, [](Decoder& d) { d.inputs.rows = {4, 2, 2, 1}; });
  refused(argument, "step 2 has 3 rows; they have to fall from 3", plain, [](Decoder& d) {
    d.inputs.rows = {3, 2, 3, 1};
  });
  refused(argument, "step 3 has 0 rows", plain, [](Decoder& d) { d.inputs.rows = {3, 2, 2, 0}; });
  refused(argument, "layer 0 has no weight_hh", plain,
          [](Decoder& d) { d.weights.layers[0].weight_hh = {}; });
  refused(argument, "layer 0 has no weight_hh", plain,
          [&](Decoder& d) { d.weights.layers[0].weight_hh = zeros({8}); });
  const char* keys = "attention needs keys (m, p, a) and values (m, p, d)";
  refused(argument, keys, plain, [](Decoder& d) { d.inputs.keys = {}; });
  refused(argument, keys, plain, [](Decoder& d) { d.inputs.values = {}; });
  refused(argument, keys, plain, [&](Decoder& d) { d.inputs.keys = zeros({2, 4}); });
  refused(argument, keys, plain, [&](Decoder& d) { d.inputs.values = zeros({2, 5}); });
  refused(argument, "a first input is for decoders without attention", plain, [&](Decoder& d) {
    d.inputs.first_input = zeros({kRows, kEmbedding});
  });
  refused(argument, "a gate needs attention", bare, [&](Decoder& d) {
    d.weights.gate_weight = zeros({5, 2});
  });
  refused(shape, "values is (3, 2, 5), not (2, 2, 5)", plain, [&](Decoder& d) {
    d.inputs.values = zeros({3, 2, 5});
  });
  refused(shape, "query_weight is (4, 3), not (4, 2)", plain, [&](Decoder& d) {
    d.weights.query_weight = zeros({4, 3});
  });
  refused(shape, "score_weight is (5), not (4)", plain,
          [&](Decoder& d) { d.weights.score_weight = zeros({5}); });
  refused(argument, "score_weight is missing", plain, [](Decoder& d) { d.weights.score_weight = {}; });
  refused(shape, "score_bias is (2), not (1)", gated, [&](Decoder& d) { d.weights.score_bias = zeros({2}); });
  refused(shape, "image (2) i64 for 3 rows", plain, [](Decoder& d) {
    d.inputs.image = integers({0, 1}, {2});
  });
  refused(shape, "image", plain, [](Decoder& d) { d.inputs.image = Tensor(); });
  refused(shape, "gate_weight is (5, 3), not (5, 2)", gated, [&](Decoder& d) {
    d.weights.gate_weight = zeros({5, 3});
  });
  refused(argument, "gate_bias is missing", gated, [](Decoder& d) { d.weights.gate_bias = {}; });
  refused(shape, "first_input is (3, 4), not (3, 3)", bare, [&](Decoder& d) {
    d.inputs.first_input = zeros({3, 4});
  });
  refused(shape, "weight_ih is (8, 7), not (8, 8)", plain, [&](Decoder& d) {
    d.weights.layers[0].weight_ih = zeros({8, 7});
  });
  refused(shape, "weight_ih is (8, 8), not (8, 3)", bare, [&](Decoder& d) {
    d.weights.layers[0].weight_ih = zeros({8, 8});
  });
  refused(shape, "weight_ih is (8, 8), not (8, 2)", gated, [&](Decoder& d) {
    d.weights.layers[1].weight_ih = zeros({8, 8});
  });
  refused(shape, "weight_hh is (8, 3), not (8, 2)", gated, [&](Decoder& d) {
    d.weights.layers[1].weight_hh = zeros({8, 3});
  });
  refused(shape, "bias_ih is (7), not (8)", plain,
          [&](Decoder& d) { d.weights.layers[0].bias_ih = zeros({7}); });
  refused(argument, "bias_hh is missing", plain, [](Decoder& d) { d.weights.layers[0].bias_hh = {}; });
  refused(shape, "the initial state is (1, 3, 2), not (2, 3, 2)", gated, [&](Decoder& d) {
    d.inputs.h0 = zeros({1, 3, 2});
  });
  refused(shape, "the initial state is (2, 4, 2), not (2, 3, 2)", gated, [&](Decoder& d) {
    d.inputs.c0 = zeros({2, 4, 2});
  });
  refused(argument, "steps without a teacher need output_weight", {.teacher = {true, true, true, false}},
          [](Decoder& d) { d.weights.output_weight = Tensor(); });
  // One type for all, whichever it is that differs.
  const auto f32 = [](Variable& v) { v = v.data().to(DType::f32); };
  const std::function<void(Decoder&)> mixed[] = {[&](Decoder& d) { f32(d.weights.query_weight); },
                                                 [&](Decoder& d) { f32(d.weights.score_weight); },
                                                 [&](Decoder& d) { f32(d.weights.score_bias); },
                                                 [&](Decoder& d) { f32(d.weights.gate_weight); },
                                                 [&](Decoder& d) { f32(d.weights.gate_bias); },
                                                 [&](Decoder& d) { f32(d.inputs.keys); },
                                                 [&](Decoder& d) { f32(d.inputs.values); },
                                                 [&](Decoder& d) { f32(d.inputs.h0); },
                                                 [&](Decoder& d) { f32(d.inputs.c0); },
                                                 [&](Decoder& d) { f32(d.weights.layers[0].weight_ih); },
                                                 [&](Decoder& d) { f32(d.weights.layers[1].weight_hh); },
                                                 [&](Decoder& d) { f32(d.weights.layers[1].bias_ih); },
                                                 [&](Decoder& d) { f32(d.weights.layers[0].bias_hh); }};
  for (const auto& change : mixed) refused(ErrorKind::dtype, "", gated, change);
  refused(ErrorKind::dtype, "(3, 3) f32 beside an embedding of f64",
          {.attention = false, .first_input = true}, [&](Decoder& d) { f32(d.inputs.first_input); });
}

TEST_CASE("the decoder sequence against differences, with falling rows, a gate and an initial state") {
  const auto leaf = [](const Shape& shape, uint64_t seed) {
    return Variable(random(shape, DType::f64, seed, -1, 1), true);
  };
  const int64_t v = 7, e = 3, h = 2, a = 4, d = 5, n = 3, p = 2;
  const Variables in = {leaf({v, e}, 1),      leaf({a, h}, 2),          leaf({a}, 3),
                        leaf({1}, 4),         leaf({d, h}, 5),          leaf({d}, 6),
                        leaf({2, p, a}, 7),   leaf({2, p, d}, 8),       leaf({2, n, h}, 9),
                        leaf({2, n, h}, 10),  leaf({4 * h, e + d}, 11), leaf({4 * h, h}, 12),
                        leaf({4 * h}, 13),    leaf({4 * h}, 14),        leaf({4 * h, h}, 15),
                        leaf({4 * h, h}, 16), leaf({4 * h}, 17),        leaf({4 * h}, 18)};
  const auto run = [&](const Variables& x) {
    DecoderWeights w;
    w.embedding = x[0], w.query_weight = x[1], w.score_weight = x[2], w.score_bias = x[3];
    w.gate_weight = x[4], w.gate_bias = x[5];
    w.layers = {{x[10], x[11], x[12], x[13]}, {x[14], x[15], x[16], x[17]}};
    w.output_weight = random({v, h}, DType::f64, 30);
    DecoderInputs inputs;
    inputs.keys = x[6], inputs.values = x[7], inputs.h0 = x[8], inputs.c0 = x[9];
    inputs.image = Tensor::from(std::vector<int64_t>{0, 1, 1}, {3});
    inputs.words = Tensor::from(std::vector<int64_t>{2, 4, 5, 2, 6, 1, 2, 0, 0}, {3, 3});
    inputs.rows = {3, 2, 1};
    inputs.teacher = {true, false, true};
    const DecoderOutputs out = decoder_sequence(w, inputs);
    return Variables{out.hidden, out.alpha};
  };
  const GradcheckResult result = gradcheck(run, in);
  CHECK_MESSAGE(result.ok, result.message);
}
