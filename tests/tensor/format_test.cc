// tensor::format against fmt itself.
#include "tensor/format.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "tensor/error.h"

using tensor::format;
using tensor::join;

TEST_CASE("format: each kind of value and each way to write it is fmt's") {
  const std::string text = "dog";
  const std::string_view view = "cat";
  CHECK(format("{} {} {} {}", text, view, "bird", 'c') ==
        fmt::format("{} {} {} {}", text, view, "bird", 'c'));
  CHECK(format("{} {} {} {}", -1, 2u, int64_t{-5'000'000'000}, SIZE_MAX) ==
        fmt::format("{} {} {} {}", -1, 2u, int64_t{-5'000'000'000}, SIZE_MAX));
  CHECK(format("{} {} {}", true, uint8_t{7}, int8_t{-7}) ==
        fmt::format("{} {} {}", true, uint8_t{7}, int8_t{-7}));
  CHECK(format("{} {} {} {}", 0.1f, 0.1, 1e30, std::nan("")) ==
        fmt::format("{} {} {} {}", 0.1f, 0.1, 1e30, std::nan("")));
  CHECK(format("{:.3f}|{:>10.1e}|{:g}|{:+.2f}", 1.5, 12345.678, 0.5f, 2.0) ==
        fmt::format("{:.3f}|{:>10.1e}|{:g}|{:+.2f}", 1.5, 12345.678, 0.5f, 2.0));
  CHECK(format("{:02x}|{:>6}|{:<8}|{:^7}|{:*>5}", 11, 12, "ab", "mid", 3) ==
        fmt::format("{:02x}|{:>6}|{:<8}|{:^7}|{:*>5}", 11, 12, "ab", "mid", 3));
  CHECK(format("{:<{}}|{:.{}f}", "x", 4, 1.23456, 2) == fmt::format("{:<{}}|{:.{}f}", "x", 4, 1.23456, 2));
  CHECK(format("{0}/{1}/{0}", 1, 2) == "1/2/1");
  CHECK(format("{{}} {}}}", 1) == "{} 1}");
  CHECK(format("nothing") == "nothing");
  CHECK(format("{:.2}", "dog") == "do");
}

TEST_CASE("format: a string that does not fit its values has a fault, and does not compile") {
  using tensor::internal::format_fault;
  using Kind = tensor::internal::FormatKind;
  const Kind integer[] = {Kind::signed_integer}, real[] = {Kind::float64}, text[] = {Kind::string};
  const Kind two[] = {Kind::string, Kind::string}, wide[] = {Kind::string, Kind::signed_integer};
  for (const char* good : {"{}", "{:x}", "{:>8}", "{0} {0}", "{{{}}}"})
    CHECK(format_fault(good, integer, 1) == nullptr);
  for (const char* good : {"{:.3f}", "{:e}", "{:+g}", "{:.2}"}) CHECK(format_fault(good, real, 1) == nullptr);
  CHECK(format_fault("{:<{}}", wide, 2) == nullptr);
  for (const char* bad :
       {"", "{{}}", "{} {}", "{1}", "{0} {}", "{", "}", "{} }", "{:", "{:.3f}", "{:e}", "{:.2}", "{:s}"}) {
    CAPTURE(bad);
    CHECK(format_fault(bad, integer, 1) != nullptr);
  }
  for (const char* bad : {"{:x}", "{:d}", "{:s}"}) CHECK(format_fault(bad, real, 1) != nullptr);
  for (const char* bad : {"{:x}", "{:.1f}", "{:g}"}) CHECK(format_fault(bad, text, 1) != nullptr);
  CHECK(format_fault("{}", two, 2) != nullptr);
  CHECK(format_fault("{1}", two, 2) == nullptr);
  CHECK(format_fault("{:<{}}", two, 2) != nullptr);
}

TEST_CASE("a NaN has no sign in a text") {
  CHECK(format("{} {}", std::copysign(NAN, -1.0f), std::copysign(double{NAN}, 1.0)) == "nan nan");
  CHECK(format("{:.3f} {}", std::copysign(double{NAN}, -1.0), -INFINITY) == "nan -inf");
}

TEST_CASE("join: parts with a separator between them") {
  CHECK(join(std::vector<std::string>{"a", "b", "c"}, ", ") == "a, b, c");
  CHECK(join(std::vector<int>{1, 2}, "+") == "1+2");
  CHECK(join(std::vector<double>{}, "+").empty());
}

TEST_CASE("a value with text() becomes text only when a sentence is made of it") {
  struct Counting {
    int* made;
    std::string text() const {
      ++*made;
      return "a dog";
    }
  };
  int made = 0;
  const Counting value{&made};
  tensor::check(true, tensor::ErrorKind::argument, "{} runs", value);
  CHECK(made == 0);
  CHECK(format("{} runs", value) == "a dog runs");
  CHECK_THROWS_WITH_AS(tensor::check(false, tensor::ErrorKind::argument, "{} runs", value), "a dog runs",
                       tensor::Error);
  CHECK(made == 2);
}
