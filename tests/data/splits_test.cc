#include "imgcap/data/splits.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tensor/error.h"

using Names = std::vector<std::string>;

TEST_CASE("split_by_image: every image once, 80/10/10, the same for any order of the names") {
  Names names;
  for (int i = 0; i < 105; ++i) names.push_back("image" + std::to_string(i) + ".jpg");
  const auto split = imgcap::split_by_image(names, 31);
  CHECK(split.train.size() == 85);
  CHECK(split.val.size() == 10);
  CHECK(split.test.size() == 10);
  std::set<std::string> all(split.train.begin(), split.train.end());
  all.insert(split.val.begin(), split.val.end());
  all.insert(split.test.begin(), split.test.end());
  CHECK(all == std::set<std::string>(names.begin(), names.end()));
  std::reverse(names.begin(), names.end());
  names.push_back(names.front());
  const auto again = imgcap::split_by_image(names, 31);
  CHECK(again.train == split.train);
  CHECK(again.val == split.val);
  CHECK(again.test == split.test);
  CHECK(imgcap::split_by_image(names, 32).val != split.val);
}

TEST_CASE("split_by_image: small sets") {
  const auto sizes = [](const Names& names) {
    const auto s = imgcap::split_by_image(names, 1);
    return std::vector<size_t>{s.train.size(), s.val.size(), s.test.size()};
  };
  CHECK(sizes({"a"}) == std::vector<size_t>{1, 0, 0});
  CHECK(sizes({"a", "b"}) == std::vector<size_t>{2, 0, 0});
  CHECK(sizes({"a", "b", "c"}) == std::vector<size_t>{1, 1, 1});
  // A tenth each, rounded down, but one at least.
  for (const auto& [images, tenth] : std::vector<std::pair<size_t, size_t>>{
           {4, 1}, {9, 1}, {10, 1}, {19, 1}, {20, 2}, {29, 2}, {30, 3}, {101, 10}}) {
    CAPTURE(images);
    Names names;
    for (size_t i = 0; i < images; ++i) names.push_back(std::to_string(i));
    CHECK(sizes(names) == std::vector<size_t>{images - 2 * tenth, tenth, tenth});
  }
  CHECK_THROWS_AS(imgcap::split_by_image({}, 1), tensor::Error);
}

TEST_CASE("split_by_image: a name is as likely in one part as in another") {
  // Of 20 names, two are in each small part: a tenth of 2,000 seeds for each name, give or take four
  // standard deviations.
  Names names;
  for (int i = 0; i < 20; ++i) names.push_back(std::to_string(100 + i));
  std::map<std::string, int> in_val, in_test;
  for (uint64_t seed = 0; seed < 2000; ++seed) {
    const auto split = imgcap::split_by_image(names, seed);
    for (const std::string& name : split.val) ++in_val[name];
    for (const std::string& name : split.test) ++in_test[name];
  }
  for (const std::string& name : names) {
    CAPTURE(name);
    CHECK(std::abs(in_val[name] - 200) < 4 * std::sqrt(2000 * 0.09));
    CHECK(std::abs(in_test[name] - 200) < 4 * std::sqrt(2000 * 0.09));
  }
}

TEST_CASE("splits: pinned, so that a change of the generator or the shuffle is seen") {
  const auto split = imgcap::split_by_image({"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}, 31);
  CHECK(split.train == Names{"i", "c", "a", "j", "e", "b", "d", "f"});
  CHECK(split.val == Names{"h"});
  CHECK(split.test == Names{"g"});
  CHECK(imgcap::split_by_caption(10, 31).train == std::vector<size_t>{8, 2, 0, 9, 4, 1, 3, 5, 7});
  CHECK(imgcap::split_by_caption(10, 31).val == std::vector<size_t>{6});
}

TEST_CASE("split_by_caption: floor(0.9 N) to train on") {
  for (size_t count : {1, 2, 9, 10, 11, 19, 158915}) {
    const auto split = imgcap::split_by_caption(count, 7);
    CHECK(split.train.size() == count * 9 / 10);
    std::set<size_t> all(split.train.begin(), split.train.end());
    all.insert(split.val.begin(), split.val.end());
    CHECK(all.size() == count);
    CHECK(split.train.size() + split.val.size() == count);
    CHECK(*all.rbegin() == count - 1);
  }
  CHECK(imgcap::split_by_caption(50, 7).train == imgcap::split_by_caption(50, 7).train);
  CHECK(imgcap::split_by_caption(50, 7).train != imgcap::split_by_caption(50, 8).train);
  CHECK_THROWS_AS(imgcap::split_by_caption(0, 1), tensor::Error);
}
