// Searches that stay on their device.
#include "tensor/checks/common.h"
#include "tensor/kernels.h"

namespace tensor::checks {
namespace {

void expect(const char* op, const char* what, const Tensor& t, const Shape& shape, DType type) {
  check(t.shape() == shape && t.dtype() == type && t.is_contiguous(), ErrorKind::shape,
        "{}: {} {} where {} {}, contiguous, is needed", op, what, describe(t), to_string(shape),
        name_of(type));
}

}  // namespace

void beam_step(BeamStep s) {
  const char* op = "beam_step";
  check(s.scores.rank() == 2 && s.scores.size(1) > 0 && s.values.rank() == 2, ErrorKind::shape,
        "{}: scores {} and values {} where (images, beam) and (rows, k) are needed", op, describe(s.scores),
        describe(s.values));
  const int64_t images = s.scores.size(0), beam = s.scores.size(1), rows = s.values.size(0),
                k = s.values.size(1);
  check((rows == images || rows == images * beam) && k > 0, ErrorKind::shape,
        "{}: values {} for {} images and a beam of {}", op, describe(s.values), images, beam);
  check(is_floating(s.values.dtype()), ErrorKind::dtype, "{}: values {} are no numbers", op,
        describe(s.values));
  expect(op, "values", s.values, {rows, k}, s.values.dtype());
  expect(op, "tokens", s.tokens, {rows, k}, DType::i64);
  for (const Tensor* t : {&s.rows, &s.words}) expect(op, "rows and words", *t, {images * beam}, DType::i64);
  for (const Tensor* t : {&s.scores, &s.next_scores}) expect(op, "scores", *t, {images, beam}, DType::f64);
  expect(op, "the tree", s.tree, {3, images, beam}, DType::f64);
  expect(op, "what has ended", s.ended, {images, 2, beam, BeamEnd::count}, DType::f64);
  expect(op, "counts", s.counts, {images, BeamCount::count}, DType::i64);
  expect(op, "the state", s.state, {images}, DType::u8);
  if (s.stop.defined()) expect(op, "what stops", s.stop, {images}, DType::u8);
  check(s.nbest >= 1 && s.nbest <= beam && s.step >= 1, ErrorKind::argument,
        "{}: the best {} of a beam of {} after {} tokens", op, s.nbest, beam, s.step);
}

void sample_step(SampleStep s) {
  const char* op = "sample_step";
  const int64_t n = s.tokens.numel();
  for (const Tensor* t : {&s.words, &s.tokens, &s.stream})
    expect(op, "tokens and streams", *t, {n}, DType::i64);
  for (const Tensor* t : {&s.uniforms, &s.chosen}) expect(op, "numbers", *t, {n}, DType::f64);
  for (const Tensor* t : {&s.state, &s.next_state}) expect(op, "the state", *t, {n}, DType::u8);
  for (const Tensor* t : {&s.places, &s.next_places}) expect(op, "places", *t, {n, 2}, DType::i64);
  expect(op, "the tree", s.tree, {2, n}, DType::f64);
  if (s.stop.defined()) expect(op, "what stops", s.stop, {n}, DType::u8);
}

void draw_tokens(DrawTokens a) {
  const char* op = "draw_tokens";
  const Tensor& x = a.log_probabilities;
  check(x.rank() == 2 && is_floating(x.dtype()), ErrorKind::shape,
        "{}: log-probabilities {} where (rows, vocabulary) are needed", op, describe(x));
  expect(op, "log-probabilities", x, x.shape(), x.dtype());
  if (a.indices.defined()) expect(op, "indices", a.indices, x.shape(), DType::i64);
  expect(op, "tokens", a.tokens, {x.size(0)}, DType::i64);
  expect(op, "what is chosen", a.chosen, {x.size(0)}, DType::f64);
  expect(op, "uniform numbers", a.uniforms, {x.size(0)}, DType::f64);
  check(a.temperature > 0 && a.top_p > 0 && a.top_p <= 1 && a.most >= 0, ErrorKind::argument,
        "{}: a temperature of {}, a share of {}, the first {}", op, a.temperature, a.top_p, a.most);
}

}  // namespace tensor::checks
