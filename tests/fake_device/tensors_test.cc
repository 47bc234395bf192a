// Tensors on a device: where they live, how they come and go, and who may touch them.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <csignal>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "autograd/ops.h"
#include "tensor/error.h"
#include "tensor/fetched.h"
#include "tensor/kernels.h"
#include "tensor/tensor.h"
#include "tests/child.h"
#include "tests/fake_device/fake_device.h"
#include "tests/folder.h"
#include "tests/instrumented.h"
#include "tests/refused.h"

namespace {

using tensor::Device;
using tensor::DType;
using tensor::Error;
using tensor::ErrorKind;
using tensor::Tensor;

const Device kFirst = Device::cuda(0), kSecond = Device::cuda(1);

}  // namespace

TEST_CASE("tensors are made on a device, and their views stay there") {
  for (const Device& device : {kFirst, kSecond}) {
    const Tensor range = Tensor::arange(6, DType::i64, device);
    CHECK(range.device() == device);
    CHECK(range.view({2, 3}).t().select(0, 1).device() == device);
    CHECK(range.view({2, 3}).t().contiguous().to_vector<int64_t>() == std::vector<int64_t>{0, 3, 1, 4, 2, 5});
    CHECK(Tensor::zeros({2}, DType::f32, device).to_vector<float>() == std::vector<float>{0, 0});
    CHECK(Tensor::full({2}, 0.5, DType::bf16, device).to(DType::f32).to_vector<float>() ==
          std::vector<float>{0.5, 0.5});
    CHECK(Tensor::scalar(3, DType::f64, device).item() == 3);
    const Tensor given = Tensor::from<float>({1, 2, 3}, {3}, device);
    CHECK(given.device() == device);
    CHECK(given.slice(0, 1, 2).to(DType::f64).item<double>() == 2);
  }
  const Tensor x = Tensor::from<float>({1, 2, 3, 4}, {2, 2}, kFirst);
  CHECK(x.to(kSecond).device() == kSecond);
  CHECK(x.to(kSecond).t().to(Device::cpu()).to_vector<float>() == std::vector<float>{1, 3, 2, 4});
  CHECK(x.to(kFirst).shares_storage(x));
  CHECK_FALSE(x.clone().shares_storage(x));
  CHECK(x.clone().device() == kFirst);
  CHECK(to_string(x) == "[[1, 2],\n [3, 4]] (2, 2) f32");
}

TEST_CASE("what is written on the host after a copy to a device is not seen there") {
  Tensor here = Tensor::full({1000}, 1);
  const Tensor there = here.to(kFirst);
  here.fill_(2);
  CHECK(there.slice(0, 999, 1000).item() == 1);
  Tensor back = Tensor::zeros({1000});
  back.copy_(there);
  CHECK(back.data<float>()[999] == 1);
}

TEST_CASE("a device that is not there") {
  CHECK(tests::refused([] { Tensor::zeros({1}, DType::f32, Device::cuda(2)); }, ErrorKind::device) ==
        "empty: cuda:2: there are 2 devices");
}

TEST_CASE("memory of a device is given back, and can be used up") {
  const int64_t before = tests::fake_device_counts().bytes_in_use;
  {
    const Tensor x = Tensor::zeros({1000}, DType::f32, kFirst), y = x.clone(), view = y.slice(0, 0, 10);
    CHECK(tests::fake_device_counts().bytes_in_use == before + 2 * 4096);
    const std::vector<Tensor> none = {Tensor::zeros({0}, DType::f32, kFirst)};
    CHECK(none[0].numel() == 0);
  }
  CHECK(tests::fake_device_counts().bytes_in_use == before);
  const Tensor half = Tensor::empty({tests::kFakeDeviceBytes / 2}, DType::u8, kFirst);
  CHECK(tests::refused([] { Tensor::empty({tests::kFakeDeviceBytes / 2 + 1}, DType::u8, kFirst); },
                       ErrorKind::cuda) == "empty: cuda:0 has no room for 2147483649 bytes");
  CHECK_NOTHROW(Tensor::empty({tests::kFakeDeviceBytes / 2 + 1}, DType::u8, kSecond));
}

TEST_CASE("elements of a tensor on a device are not read as if they were here") {
  const Tensor far = Tensor::zeros({2}, DType::f32, kFirst);
  for (const std::function<void()>& read : std::vector<std::function<void()>>{
           [&] { far.data<float>(); }, [&] { far.raw(); }, [&] { Tensor(far).mutable_data<float>(); },
           [&] { Tensor(far).mutable_raw(); }}) {
    CHECK_THROWS_WITH_AS(read(), "data: the tensor (2) f32 is on cuda:0; copy it with to(Device::cpu())",
                         Error);
  }
}

TEST_CASE("who touches a device's memory outside of a kernel ends there, with a sentence") {
  SKIP_IF_INSTRUMENTED();  // a sanitizer has an end of its own for it
  Tensor far = Tensor::zeros({2}, DType::f32, kFirst);
  const volatile float* first = far.device_data<float>();
  const tests::TemporaryFolder folder("fault");
  const std::string said = folder.path / "said";
  for (const bool writes : {false, true}) {
    const int end = tests::in_fork([&] {
      const int file = ::open(said.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0600);
      ::dup2(file, 2);
      if (writes) *const_cast<volatile float*>(first) = 1;
      return first[1] == 0 ? 0 : 1;
    });
    CHECK(end == 128 + SIGSEGV);
    std::ifstream in(said);
    CHECK(std::string(std::istreambuf_iterator<char>(in), {}) ==
          "fake device: the host touched a device's memory outside of a kernel\n");
  }
  // A call of the system fails instead.
  const int null = ::open("/dev/zero", O_RDONLY);
  REQUIRE(null >= 0);
  CHECK(::read(null, const_cast<std::byte*>(far.device_raw()), 4) == -1);
  CHECK(errno == EFAULT);
  ::close(null);
}

TEST_CASE("a bad index that is on a device is said at the next wait, once") {
  const Tensor weight = Tensor::zeros({3, 2}, DType::f32, kFirst);
  const Tensor ids = Tensor::from<int64_t>({0, 7, -1}, {3}, kFirst);
  Tensor rows = Tensor::zeros({3, 2}, DType::f32, kFirst);
  CHECK_NOTHROW(tensor::kernels::embedding(rows, weight, ids));
  const Tensor fine = Tensor::zeros({1}, DType::f32, kSecond);
  CHECK_NOTHROW(fine.item());  // of another device
  CHECK(tests::refused([&] { rows.select(0, 0).select(0, 0).item(); }, ErrorKind::index) ==
        "embedding: id 7 at position 1 of ids (3) is outside the 3 rows of weight (3, 2)");
  CHECK_NOTHROW(rows.select(0, 0).select(0, 0).item());
  // On the host it is said at once.
  CHECK_THROWS_AS(autograd::embedding(weight.to(Device::cpu()), ids.to(Device::cpu())), Error);
}

TEST_CASE("a cross-entropy of what is no number is none, on a device as on the CPU") {
  for (const Device& device : {Device::cpu(), kFirst}) {
    const Tensor logits = Tensor::from<float>({1, 2, 3, 4, NAN, 6}, {2, 3}, device);
    const auto loss = [&](std::vector<int64_t> targets, std::vector<float> weights) {
      return autograd::cross_entropy(logits, Tensor::from<int64_t>(targets, {2}, device), -100, 0,
                                     autograd::Reduction::mean, Tensor::from<float>(weights, {3}, device))
          .item();
    };
    CHECK(std::isnan(loss({0, 1}, {1, 1, 1})));
    CHECK(std::isnan(loss({0, 1}, {0, 0, 0})));
    CHECK(std::isnan(loss({0, 0}, {NAN, 1, 1})));
    CHECK(std::isfinite(loss({1, -100}, {NAN, 1, 1})));
    CHECK(loss({-100, -100}, {NAN, 1, 1}) == 0);
  }
}

TEST_CASE("values are fetched as they were, without a wait until they are asked for") {
  for (const Device& device : {Device::cpu(), Device::cuda()}) {
    Tensor x = Tensor::from<float>({1, 2, 3, 4, 5, 6}, {2, 3}, device);
    const int64_t before = tests::fake_device_counts().waits;
    tensor::Fetched whole(x), view(x.t());
    x.fill_(7);
    CHECK(tests::fake_device_counts().waits == before);
    const Tensor here = view.take();
    CHECK(here.device().is_cpu());
    CHECK(here.shape() == tensor::Shape{3, 2});
    CHECK(here.to_vector<float>() == std::vector<float>{1, 4, 2, 5, 3, 6});
    CHECK(whole.take().to_vector<float>() == std::vector<float>{1, 2, 3, 4, 5, 6});
    CHECK(tests::fake_device_counts().waits == before + (device.is_cpu() ? 0 : 2));
  }
}

TEST_CASE("two devices are two places") {
  const Tensor a = Tensor::zeros({2}, DType::f32, kFirst), b = Tensor::zeros({2}, DType::f32, kSecond);
  CHECK_THROWS_WITH_AS(autograd::add(a, b),
                       "add: one tensor is on cuda:0, another on cuda:1; move one with to()", Error);
  CHECK_THROWS_WITH_AS(tensor::expect_same_device(Tensor::zeros({2}), b, "add"),
                       "add: one tensor is on cpu, another on cuda:1; move one with to()", Error);
  CHECK_NOTHROW(tensor::expect_same_device(b, b, "add"));
}

TEST_CASE("a child of fork() cannot use its parent's device") {
  const Tensor far = Tensor::zeros({2}, DType::f32, kFirst);
  CHECK(tests::in_fork([&] {
          const std::string made =
              tests::refused([] { Tensor::zeros({2}, DType::f32, kFirst); }, ErrorKind::device);
          const std::string read = tests::refused([&] { far.to(Device::cpu()); }, ErrorKind::device);
          const std::string tail =
              ": cuda:0 was used before fork(): the child cannot use it; start it as a program";
          return made == "empty" + tail && read == "copy" + tail && Tensor::zeros({1}).item() == 0 ? 0 : 1;
        }) == 0);
  CHECK(far.slice(0, 1, 2).item() == 0);
}

TEST_CASE("kernels run without a wait for each") {
  const Tensor x = Tensor::full({100}, 2, DType::f32, kFirst);
  const tests::FakeDeviceCounts before = tests::fake_device_counts();
  const autograd::Variable y = autograd::add(autograd::mul(x, x), x);
  const tests::FakeDeviceCounts launched = tests::fake_device_counts();
  CHECK(launched.launches == before.launches + 2);
  CHECK(launched.waits == before.waits);
  CHECK(y.data().slice(0, 7, 8).item() == 6);
  CHECK(tests::fake_device_counts().waits == before.waits + 1);
}
