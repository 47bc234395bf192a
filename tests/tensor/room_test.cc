// Memory for tensors that are made anew in every step.
#include "tensor/room.h"

#include "tensor/allocator.h"
#include "tests/tensor/reference.h"

using namespace tests;
using tensor::Room;

namespace {

const std::byte* place(const Tensor& t) { return t.raw(); }
int64_t blocks() { return tensor::allocator_statistics().blocks_handed_out; }

}  // namespace

TEST_CASE("a room gives its memory anew once nobody uses it") {
  Room room;
  const std::byte* first = place(room.take({4, 6}));
  const int64_t before = blocks();
  for (const Shape& shape : {Shape{4, 6}, Shape{2, 3}, Shape{24}, Shape{0, 5}, Shape{}}) {
    const Tensor t = room.take(shape);
    CHECK(place(t) == first);
    CHECK(t.shape() == shape);
    CHECK(t.is_contiguous());
  }
  CHECK(blocks() == before);
  CHECK(place(room.take({25})) != nullptr);  // too large
  CHECK(room.take({3}, DType::f64).dtype() == DType::f64);
  CHECK(blocks() == before + 2);
  CHECK_THROWS_AS(room.take({-1}), tensor::Error);
}

TEST_CASE("a room's tensor is made of the last one in other memory, and what is kept stays as it is") {
  Room room;
  Tensor state = room.take({3});
  state.fill_(1);
  for (int step = 0; step < 2; ++step) {  // from here on, both memories are there
    const Tensor next = room.take({3});
    CHECK(place(next) != place(state));
    state = next;
  }
  const int64_t before = blocks();
  for (int step = 0; step < 5; ++step) {
    Tensor next = room.take({3});
    CHECK(place(next) != place(state));
    next.fill_(step);
    state = next;
  }
  CHECK(blocks() == before);
  const Tensor one = state;
  Tensor two = room.take({3});
  two.fill_(7);
  Tensor three = room.take({2});  // both are in use
  three.fill_(8);
  CHECK(blocks() == before + 1);
  CHECK(values(one) == std::vector<double>{4, 4, 4});
  CHECK(values(two) == std::vector<double>{7, 7, 7});
}

TEST_CASE("a copied room has other memory") {
  Room room;
  const std::byte* first = place(room.take({3}));
  Room copy = room;
  Room assigned;
  assigned = room;
  const Tensor a = room.take({3}), b = copy.take({3}), c = assigned.take({3});
  CHECK(place(a) == first);
  CHECK(place(b) != first);
  CHECK(place(c) != first);
}
