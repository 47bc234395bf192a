#include "imgcap/models/decoder_sequence/decoder_sequence.h"

#include "autograd/testing/op_database/recurrent.h"
#include "imgcap/testing/op_records.h"

namespace imgcap::testing {
namespace {

using namespace autograd::testing;
using autograd::Variables;
using tensor::DType;
using tensor::ErrorKind;
using tensor::Shape;

struct Settings {
  bool attention = true, gate = false, state = false;
  int64_t layers = 1, vocabulary = 5, images = 2, places = 3;
  int64_t features = 3, size = 2, embedding = 3, hidden = 2;
  std::vector<int64_t> rows = {3, 3, 2, 1};
  std::vector<bool> teacher = {true, true, false, true};
};

// Where each of the flat list of inputs is.
struct Places {
  size_t embedding = 0, layers = 1, words, output, query, score, gate, keys, image, first, state;
  explicit Places(const Settings& s)
      : words(layers + 4 * static_cast<size_t>(s.layers)),
        output(words + 1),
        query(output + 2),
        score(query + 1),
        gate(score + 2),
        keys(gate + (s.gate ? 2 : 0)),
        image(keys + 2),
        first(query),
        state(s.attention ? image + 1 : first + 1) {}
};

std::vector<SampleInput> inputs_of(const Settings& s, uint64_t seed) {
  std::vector<SampleInput> in;
  Draws draw(seed);
  const auto add = [&](const Shape& shape, double bound = 0.7) {
    in.push_back(floating(draw(shape, -bound, bound)));
  };
  const int64_t n = s.rows.front(), h = s.hidden;
  add({s.vocabulary, s.embedding}, 1);
  for (int64_t l = 0; l < s.layers; ++l) {
    add({4 * h, l > 0 ? h : s.embedding + (s.attention ? s.features : 0)});
    add({4 * h, h});
    add({4 * h});
    add({4 * h});
  }
  in.push_back(indices(random_indices({n, static_cast<int64_t>(s.rows.size())}, draw.seed(), s.vocabulary)));
  in.push_back(constant_input(draw({s.vocabulary, h})));
  in.push_back(constant_input(draw({s.vocabulary})));
  if (s.attention) {
    add({s.size, h});
    add({s.size}, 2);
    in.push_back(without_effect(draw({1})));
    if (s.gate) add({s.features, h}), add({s.features});
    add({s.images, s.places, s.size}, 1);
    add({s.images, s.places, s.features}, 1);
    in.push_back(indices(random_indices({n}, draw.seed(), s.images)));
  } else {
    add({n, s.embedding}, 1);
  }
  if (s.state) add({s.layers, n, h}), add({s.layers, n, h});
  return in;
}

using Op = DecoderOutputs (*)(const DecoderWeights&, const DecoderInputs&, const DecoderDropout&);

OpFunction call(const Settings& s, Op op) {
  return [s, op](const Variables& in) {
    const Places at(s);
    DecoderWeights w;
    DecoderInputs inputs;
    w.embedding = in[at.embedding];
    for (size_t l = 0; l < static_cast<size_t>(s.layers); ++l) {
      const size_t k = at.layers + 4 * l;
      w.layers.push_back({in[k], in[k + 1], in[k + 2], in[k + 3]});
    }
    inputs.words = in[at.words].data();
    w.output_weight = in[at.output].data();
    w.output_bias = in[at.output + 1].data();
    if (s.attention) {
      w.query_weight = in[at.query];
      w.score_weight = in[at.score];
      w.score_bias = in[at.score + 1];
      if (s.gate) w.gate_weight = in[at.gate], w.gate_bias = in[at.gate + 1];
      inputs.keys = in[at.keys];
      inputs.values = in[at.keys + 1];
      inputs.image = in[at.image].data();
    } else {
      inputs.first_input = in[at.first];
    }
    if (s.state) inputs.h0 = in[at.state], inputs.c0 = in[at.state + 1];
    inputs.rows = s.rows;
    inputs.teacher = s.teacher;
    const DecoderOutputs out = op(w, inputs, DecoderDropout{});
    Variables results{out.hidden};
    if (s.attention) results.push_back(out.alpha);
    results.emplace_back(out.fed);
    return results;
  };
}

std::vector<double> times(const Array& w, const std::vector<double>& x) {
  std::vector<double> y;
  for (int64_t i = 0; i < w.size(0); ++i) {
    double sum = 0;
    for (size_t k = 0; k < x.size(); ++k) sum += w({i, static_cast<int64_t>(k)}) * x[k];
    y.push_back(sum);
  }
  return y;
}

// Row by row: no row of a batch knows of another.
std::vector<Array> reference(const std::vector<Array>& in, const Settings& s) {
  const Places at(s);
  const auto steps = static_cast<int64_t>(s.rows.size());
  const auto layers = static_cast<size_t>(s.layers), hidden = static_cast<size_t>(s.hidden);
  int64_t total = 0;
  std::vector<int64_t> starts;
  for (const int64_t rows : s.rows) starts.push_back(total), total += rows;
  Array out(Shape{total, s.hidden}), alpha(Shape{total, s.places}), fed(Shape{total});
  for (int64_t i = 0; i < s.rows.front(); ++i) {
    std::vector<std::vector<double>> h(layers, std::vector<double>(hidden)), c = h;
    if (s.state)
      for (size_t l = 0; l < layers; ++l) {
        h[l] = row_of(in[at.state], static_cast<int64_t>(l) * s.rows.front() + i);
        c[l] = row_of(in[at.state + 1], static_cast<int64_t>(l) * s.rows.front() + i);
      }
    for (int64_t t = 0; t < steps && i < s.rows[static_cast<size_t>(t)]; ++t) {
      const int64_t place = starts[static_cast<size_t>(t)] + i;
      auto word = static_cast<int64_t>(in[at.words]({i, t}));
      if (!s.teacher[static_cast<size_t>(t)]) {
        std::vector<double> logits = times(in[at.output], h.back());
        for (size_t k = 0; k < logits.size(); ++k) logits[k] += in[at.output + 1].values[k];
        word = std::max_element(logits.begin(), logits.end()) - logits.begin();
      }
      std::vector<double> x = row_of(in[at.embedding], word);
      if (!s.attention && t == 0) x = row_of(in[at.first], i), word = 0;
      fed({place}) = static_cast<double>(word);
      if (s.attention) {
        const AttentionRow row =
            attention_row(in[at.keys], in[at.keys + 1], static_cast<int64_t>(in[at.image]({i})),
                          times(in[at.query], h.back()), in[at.score], in[at.score + 1].values[0]);
        std::vector<double> gate(row.context.size(), 1);
        if (s.gate) gate = times(in[at.gate], h.back());
        for (size_t d = 0; d < row.context.size(); ++d)
          x.push_back(row.context[d] * (s.gate ? logistic(gate[d] + in[at.gate + 1].values[d]) : 1));
        for (int64_t p = 0; p < s.places; ++p) alpha({place, p}) = row.alpha[static_cast<size_t>(p)];
      }
      for (size_t l = 0; l < layers; ++l) {
        const size_t k = at.layers + 4 * l;
        lstm_row({&in[k], &in[k + 1], &in[k + 2], &in[k + 3]}, x, h[l], c[l]);
        x = h[l];
      }
      for (size_t k = 0; k < hidden; ++k) out({place, static_cast<int64_t>(k)}) = h.back()[k];
    }
  }
  if (!s.attention) return {out, fed};
  return {out, alpha, fed};
}

const std::vector<std::pair<const char*, Settings>>& cases() {
  static const std::vector<std::pair<const char*, Settings>> all = {
      {"attention, falling rows, one step fed by the model", {}},
      {"attention, gate, initial state, two layers", {.gate = true, .state = true, .layers = 2}},
      {"one of each",
       {.vocabulary = 2,
        .images = 1,
        .places = 1,
        .features = 1,
        .size = 1,
        .embedding = 1,
        .hidden = 1,
        .rows = {1},
        .teacher = {true}}},
      {"plain, falling rows, one step fed by the model", {.attention = false}},
      {"plain, two layers, initial state", {.attention = false, .state = true, .layers = 2}},
      {"attention of a model's size",
       {.gate = true,
        .vocabulary = 100,
        .images = 3,
        .places = 49,
        .features = 40,
        .size = 32,
        .embedding = 32,
        .hidden = 32,
        .rows = {8, 8, 7, 5, 5, 2},
        .teacher = {true, true, true, true, true, true}}},
      // What PyTorch's Linear, Embedding and lstm take.
      {"attention of size 0", {.gate = true, .size = 0}},
      {"features of size 0", {.gate = true, .features = 0}},
      {"an embedding of size 0", {.gate = true, .embedding = 0}},
      {"a hidden state of size 0", {.gate = true, .hidden = 0}}};
  return all;
}

OpRecord record_of(const char* name, const char* file, Op op, bool fused) {
  OpRecord record{
      .name = name,
      .family = "decoder_sequence",
      .derivatives = fused ? OpRecord::Derivatives::once : OpRecord::Derivatives::twice,
      .fused = fused,
      .tolerance = {.f32 = 2e-5,
                    .f64 = 1e-11,
                    .reason = "the roundings of up to six steps, each on the result of the one before",
                    .roundings = 4},  // of the state, from step to step
      .file = file};
  uint64_t seed = 1500;
  for (const auto& [label, settings] : cases()) {
    if (!fused && (settings.layers > 1 || settings.places > 10)) continue;  // the same ops once more
    Sample sample{.label = label,
                  .inputs = inputs_of(settings, seed),
                  .op = call(settings, op),
                  .reference = [s = settings](const std::vector<Array>& in) { return reference(in, s); }};
    if (fused) sample.composed = call(settings, decoder_sequence_composed);
    seed += 40;
    record.samples.push_back(std::move(sample));
  }
  // A call with these settings, and with `weight` as the first layer's first, where it is given.
  const auto error = [&](const char* label, const Settings& s, ErrorKind kind,
                         const std::vector<std::string>& says, const Variable& weight = {}) {
    const auto call_it = [=] {
      Variables in;
      for (const SampleInput& i : inputs_of(s, 1))
        in.emplace_back(Tensor::from<double>(i.values.values, i.values.shape)
                            .to(i.kind == SampleInput::Kind::floating ? DType::f32 : DType::i64));
      if (weight.defined()) in[Places(s).layers] = weight;
      call(s, op)(in);
    };
    record.errors.push_back(refuses(label, call_it, kind, says));
  };
  error("rows that rise", {.rows = {2, 3, 2, 1}}, ErrorKind::argument, {"decoder_sequence"});
  error("no words", {.rows = {0}, .teacher = {true}}, ErrorKind::shape, {"decoder_sequence", "(0, 1)"});
  error("no places", {.places = 0}, ErrorKind::shape, {"(2, 0, 2)"});
  error("a first step without a teacher", {.teacher = {false, true, false, true}}, ErrorKind::argument,
        {"decoder_sequence"});
  error("a weight of another shape", {}, ErrorKind::shape, {"(8, 7)"}, zeros(8, 7));
  return record;
}

}  // namespace

std::vector<OpRecord> decoder_sequence_ops() {
  return {record_of("decoder_sequence", "imgcap/models/decoder_sequence/forward.cc", decoder_sequence, true),
          record_of("decoder_sequence_composed", "imgcap/models/decoder_sequence/composed.cc",
                    decoder_sequence_composed, false)};
}

}  // namespace imgcap::testing
