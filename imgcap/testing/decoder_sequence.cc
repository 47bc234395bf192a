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
  int64_t layers = 1, images = 2, places = 3, features = 3, size = 2, embedding = 3, hidden = 2,
          vocabulary = 5;
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
  const auto add = [&](const Shape& shape, double bound = 0.7) {
    in.push_back(floating(random_array(shape, seed++, -bound, bound)));
  };
  const int64_t n = s.rows.front(), h = s.hidden;
  add({s.vocabulary, s.embedding}, 1);
  for (int64_t l = 0; l < s.layers; ++l) {
    add({4 * h, l > 0 ? h : s.embedding + (s.attention ? s.features : 0)});
    add({4 * h, h});
    add({4 * h});
    add({4 * h});
  }
  in.push_back(indices(random_indices({n, static_cast<int64_t>(s.rows.size())}, seed++, s.vocabulary)));
  in.push_back(constant_input(random_array({s.vocabulary, h}, seed++, -2, 2)));
  in.push_back(constant_input(random_array({s.vocabulary}, seed++)));
  if (s.attention) {
    add({s.size, h});
    add({s.size}, 2);
    in.push_back(without_effect(random_array({1}, seed++)));
    if (s.gate) add({s.features, h}), add({s.features});
    add({s.images, s.places, s.size}, 1);
    add({s.images, s.places, s.features}, 1);
    in.push_back(indices(random_indices({n}, seed++, s.images)));
  } else {
    add({n, s.embedding}, 1);
  }
  if (s.state) add({s.layers, n, h}), add({s.layers, n, h});
  return in;
}

template <class Call>
OpFunction call(const Settings& s, Call op) {
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

}  // namespace

void add_decoder_sequence(std::vector<OpRecord>& all) {
  std::vector<std::pair<std::string, Settings>> cases;
  cases.push_back({"attention, falling rows, one step fed by the model", {}});
  Settings s;
  s.gate = s.state = true;
  s.layers = 2;
  cases.push_back({"attention, gate, initial state, two layers", s});
  s = {};
  s.rows = {1};
  s.teacher = {true};
  s.images = s.places = s.features = s.size = s.embedding = s.hidden = 1;
  s.vocabulary = 2;
  cases.push_back({"one of each", s});
  s = {};
  s.attention = false;
  cases.push_back({"plain, falling rows, one step fed by the model", s});
  s.layers = 2;
  s.state = true;
  cases.push_back({"plain, two layers, initial state", s});
  s = {};
  s.gate = true;
  s.images = 3;
  s.places = 49;
  s.features = 40;
  s.size = s.embedding = s.hidden = 32;
  s.vocabulary = 100;
  s.rows = {8, 8, 7, 5, 5, 2};
  s.teacher = {true, true, true, true, true, true};
  cases.push_back({"attention of a model's size", s});
  // What PyTorch's Linear, Embedding and lstm take.
  for (const auto& [label, size] : std::vector<std::pair<const char*, int64_t Settings::*>>{
           {"attention of size 0", &Settings::size},
           {"features of size 0", &Settings::features},
           {"an embedding of size 0", &Settings::embedding},
           {"a hidden state of size 0", &Settings::hidden}}) {
    s = {};
    s.gate = true;
    s.*size = 0;
    cases.push_back({label, s});
  }

  for (const bool fused : {true, false}) {
    OpRecord record{fused ? "decoder_sequence" : "decoder_sequence_composed", "decoder_sequence",
                    fused ? OpRecord::Derivatives::once : OpRecord::Derivatives::twice};
    record.fused = fused;
    record.file = tensor::format("imgcap/models/decoder_sequence/{}.cc", fused ? "forward" : "composed");
    record.tolerance = {2e-5, 1e-11,
                        "the roundings of up to six steps, each on the result of the one before"};
    record.tolerance.roundings = 4;  // of the state, from step to step
    uint64_t seed = 1500;
    for (const auto& [label, settings] : cases) {
      if (!fused && (settings.layers > 1 || settings.places > 10)) continue;  // the same ops once more
      Sample sample{
          label, inputs_of(settings, seed),
          {},    [settings = settings](const std::vector<Array>& in) { return reference(in, settings); },
          {},    settings.places > 10};
      sample.op = fused ? call(settings, decoder_sequence) : call(settings, decoder_sequence_composed);
      if (fused) sample.composed = call(settings, decoder_sequence_composed);
      seed += 40;
      record.samples.push_back(std::move(sample));
    }
    const auto wrong = [fused](const std::function<void(Settings&)>& change, size_t input,
                               const Shape& shape) {
      return [=] {
        Settings settings;
        change(settings);
        Variables in;
        for (const SampleInput& i : inputs_of(settings, 1))
          in.emplace_back(Tensor::from<double>(i.values.values, i.values.shape)
                              .to(i.kind == SampleInput::Kind::floating ? DType::f32 : DType::i64));
        if (input < in.size()) in[input] = zeros(shape, in[input].dtype());
        (fused ? call(settings, decoder_sequence) : call(settings, decoder_sequence_composed))(in);
      };
    };
    const Places at{Settings{}};
    record.errors = {
        refuses("rows that rise",
                wrong(
                    [](Settings& x) {
                      x.rows = {2, 3, 2, 1};
                    },
                    1000, {}),
                ErrorKind::argument, {"decoder_sequence"}),
        refuses("no words",
                wrong(
                    [](Settings& x) {
                      x.rows = {0};
                      x.teacher = {true};
                    },
                    1000, {}),
                ErrorKind::shape, {"decoder_sequence", "(0, 1)"}),
        refuses("no places", wrong([](Settings& x) { x.places = 0; }, 1000, {}), ErrorKind::shape,
                {"(2, 0, 2)"}),
        refuses("a first step without a teacher", wrong([](Settings& x) { x.teacher[0] = false; }, 1000, {}),
                ErrorKind::argument, {"decoder_sequence"}),
        refuses("a weight of another shape", wrong([](Settings&) {}, at.layers, {8, 7}), ErrorKind::shape,
                {"(8, 7)"})};
    all.push_back(std::move(record));
  }
}

}  // namespace imgcap::testing
