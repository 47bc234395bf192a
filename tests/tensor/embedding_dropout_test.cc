#include "tests/tensor/reference.h"

using namespace tests;

TEST_CASE("embedding copies rows and its backward adds them, in every layout") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const auto& [weight_name, weight] : layouts({11, 130}, dtype, 1)) {
      Tensor ids = Tensor::empty({3, 8}, DType::i64);
      for (int64_t i = 0; i < 24; ++i) ids.mutable_data<int64_t>()[i] = i * i % 11;  // with repeats
      for (const Tensor& index : {ids, ids.t(), ids.slice(1, 1, 8, 3)}) {
        Shape shape = index.shape();
        shape.push_back(130);
        Tensor out = Tensor::empty(shape, dtype);
        tensor::kernels::embedding(out, weight, index);
        const std::vector<double> rows = values(weight), id = values(index);
        std::vector<double> want, dwant(11 * 130, 0.5);
        const Tensor g = layouts(shape, dtype, 5)[1].x;  // transposed
        const std::vector<double> gradient = values(g);
        for (size_t i = 0; i < id.size(); ++i)
          for (size_t k = 0; k < 130; ++k) {
            want.push_back(rows[static_cast<size_t>(id[i]) * 130 + k]);
            dwant[static_cast<size_t>(id[i]) * 130 + k] += gradient[i * 130 + k];
          }
        CHECK_MESSAGE(values(out) == want, weight_name);
        Tensor dweight = Tensor::full({11, 130}, 0.5, dtype);
        tensor::kernels::embedding_backward(dweight, g, index);
        CHECK(worst_relative(values(dweight), dwant, 1) <= (dtype == DType::f32 ? 1e-6 : 1e-14));
      }
    }
  }
}

TEST_CASE("embedding: no ids, and the same gradient bits with any number of threads") {
  Tensor none = Tensor::empty({0, 4}), dweight = Tensor::zeros({3, 4});
  tensor::kernels::embedding(none, Tensor::zeros({3, 4}), Tensor::empty({0}, DType::i64));
  tensor::kernels::embedding_backward(dweight, none, Tensor::empty({0}, DType::i64));
  CHECK(values(dweight) == std::vector<double>(12, 0.0));
  const Tensor g = random({2000, 300}, DType::f32, 3);
  Tensor ids = Tensor::empty({2000}, DType::i64);
  for (int64_t i = 0; i < 2000; ++i) ids.mutable_data<int64_t>()[i] = i * 7 % 13;
  check_threads([&] {
    Tensor d = Tensor::zeros({13, 300});
    tensor::kernels::embedding_backward(d, g, ids);
    return d;
  });
}

TEST_CASE("embedding names the first bad id and where it is") {
  const Tensor weight = Tensor::zeros({5, 2});
  Tensor out = Tensor::empty({2, 2, 2});
  const Tensor ids = Tensor::from(std::vector<int64_t>{0, 4, 5, -1}, {2, 2});
  check_error(ErrorKind::index, {"embedding", "id 5", "position 2", "(5, 2)"},
              [&] { tensor::kernels::embedding(out, weight, ids); });
  check_error(ErrorKind::dtype, {"embedding", "f32"},
              [&] { tensor::kernels::embedding(out, weight, weight); });
  check_error(ErrorKind::shape, {"embedding", "(2, 2, 2)"},
              [&] { tensor::kernels::embedding(out, weight, Tensor::zeros({3}, DType::i64)); });
}

TEST_CASE("dropout keeps element i when uniform(seed, offset, i) >= p") {
  for (const DType dtype : {DType::f32, DType::f64}) {
    for (const int64_t n : {0, 1, 3, 4, 63, 64, 65, 1000, 40000}) {
      for (const double p : {0.0, 0.1, 0.5, 0.9, 1.0}) {
        const uint64_t seed = 0x123456789abcull, offset = 0xfffffffeull;  // the counter crosses 2^32
        const Tensor x = random({n}, dtype, 7, 1, 2);
        Tensor out = Tensor::empty({n}, dtype);
        tensor::kernels::dropout(out, x, {p, seed, offset});
        std::vector<double> want = values(x);
        for (int64_t i = 0; i < n; ++i) {
          const float u = tensor::uniform_float(
              tensor::philox(seed, offset + static_cast<uint64_t>(i / 4))[static_cast<uint64_t>(i % 4)]);
          double& v = want[static_cast<size_t>(i)];
          v = static_cast<double>(u) >= p ? v / (1 - p) : 0;
        }
        CHECK_MESSAGE(worst_relative(values(out), want) <= (dtype == DType::f32 ? 3e-7 : 1e-15), n, " ", p);
      }
    }
  }
}

TEST_CASE("dropout: the share kept, threads, in place, errors") {
  const Tensor x = Tensor::full({200000}, 1);
  check_threads([&] {
    Tensor out = Tensor::empty(x.shape());
    tensor::kernels::dropout(out, x, {0.3, 42, 0});
    return out;
  });
  Tensor out = x.clone();
  tensor::kernels::dropout(out, out, {0.3, 42, 0});
  double kept = 0;
  for (const double v : values(out)) kept += v > 0 ? 1 : 0;
  // Binomial: standard deviation 205, so 1000 is almost five of them.
  CHECK(std::abs(kept - 140000) < 1000);
  check_error(ErrorKind::argument, {"dropout", "1.5"}, [&] { tensor::kernels::dropout(out, x, {.p = 1.5}); });
  check_error(ErrorKind::shape, {"dropout", "(3)", "(200000)"},
              [&] { tensor::kernels::dropout(out, Tensor::zeros({3}), {.p = 0.5}); });
}

TEST_CASE("what a generator draws counts from its origin, where it has one") {
  tensor::Generator generator(5);
  generator.take(10);
  const Tensor origin = Tensor::from(std::vector<int64_t>{5, 10}, {2});
  generator.set_origin(origin);
  generator.take(4);
  const tensor::Draw draw = generator.draw(3);
  CHECK(draw.offset == 4);
  CHECK(draw.origin.shares_storage(origin));
  CHECK(generator.drawn() == 7);
  CHECK(generator.offset() == 17);
  const Tensor x = Tensor::full({40}, 1);
  Tensor out = Tensor::empty({40}), wanted = Tensor::empty({40});
  tensor::kernels::dropout(out, x, {0.5, draw.seed, draw.offset, draw.origin});
  tensor::kernels::dropout(wanted, x, {0.5, 5, 14});
  CHECK(values(out) == values(wanted));
  tensor::Generator copy = generator;
  CHECK_FALSE(copy.draw(1).origin.defined());
  generator.set_state(5, 17);
  CHECK(generator.draw(1).offset == 17);
  check_error(ErrorKind::shape, {"dropout", "origin", "(3)"},
              [&] { tensor::kernels::dropout(out, x, {.origin = Tensor::zeros({3}, DType::i64)}); });
}
