#include "imgcap/data/splits.h"

#include <algorithm>
#include <numeric>

#include "tensor/error.h"
#include "tensor/random.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;

ImageSplit split_by_image(std::vector<std::string> images, uint64_t seed) {
  check(!images.empty(), ErrorKind::data, "split: there are no images to split");
  std::sort(images.begin(), images.end());
  images.erase(std::unique(images.begin(), images.end()), images.end());
  tensor::Generator generator(seed);
  generator.shuffle(images);
  const size_t tenth = images.size() < 3 ? 0 : std::max<size_t>(1, images.size() / 10);
  const auto val = images.end() - static_cast<std::ptrdiff_t>(2 * tenth);
  const auto test = images.end() - static_cast<std::ptrdiff_t>(tenth);
  return {{images.begin(), val}, {val, test}, {test, images.end()}};
}

CaptionSplit split_by_caption(size_t count, uint64_t seed) {
  check(count > 0, ErrorKind::data, "split: there are no captions to split");
  std::vector<size_t> order(count);
  std::iota(order.begin(), order.end(), size_t{0});
  tensor::Generator generator(seed);
  generator.shuffle(order);
  const auto middle = order.begin() + static_cast<std::ptrdiff_t>(count / 10 * 9 + count % 10 * 9 / 10);
  return {{order.begin(), middle}, {middle, order.end()}};
}

}  // namespace imgcap
