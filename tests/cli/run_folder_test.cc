// The folder of a run, and the parts that a run trains and validates on.
#include "imgcap/cli/run_folder.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "imgcap/cli/training_split.h"
#include "tensor/error.h"
#include "tests/cli/program.h"

namespace fs = std::filesystem;
using namespace imgcap::cli;
using imgcap::CaptionsByPhoto;
using imgcap::PhotoNames;
using tensor::ErrorKind;
using tests::Folder;
using tests::has;

namespace {

template <class F>
void check_refused(F&& f, ErrorKind kind, const std::string& why) {
  try {
    f();
    FAIL(why);
  } catch (const tensor::Error& error) {
    CHECK(error.kind() == kind);
    CHECK_MESSAGE(has(error.what(), why), error.what());
  }
}

size_t entries(const std::string& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), {}));
}

const CaptionsByPhoto kCaptions = {{"a", {"one", "two"}}, {"b", {"three"}}, {"c", {"four", "five", "six"}}};

PhotoNames photos_of(const CaptionsByPhoto& captions) {
  std::vector<std::string> names;
  for (const auto& [name, texts] : captions) names.push_back(name);
  return PhotoNames(names);
}

}  // namespace

TEST_CASE("a run's folder is made, and goes again unless the run was accepted") {
  const Folder folder;
  {
    const RunFolder made(folder / "x/y/z", false);
    CHECK(fs::is_directory(folder / "x/y/z"));
    CHECK(entries(folder / "x/y/z") == 0);  // nothing is left of finding out whether it takes files
  }
  CHECK_FALSE(fs::exists(folder / "x"));
  // What was there before stays, and so does what has something in it.
  fs::create_directories(folder / "x/y");
  { const RunFolder made(folder / "x/y/z/", false); }
  CHECK(fs::exists(folder / "x/y"));
  CHECK_FALSE(fs::exists(folder / "x/y/z"));
  {
    const RunFolder made(folder / "x/y/z/w", false);
    tests::write_text(folder / "x/y/z/file", "");
  }
  CHECK_FALSE(fs::exists(folder / "x/y/z/w"));
  CHECK(fs::exists(folder / "x/y/z/file"));
  {
    RunFolder made(folder / "kept/run", false);
    made.accept();
  }
  CHECK(fs::is_directory(folder / "kept/run"));
  { const RunFolder made(folder / "kept/run", false); }
  CHECK(fs::is_directory(folder / "kept/run"));
}

TEST_CASE("a run's folder has a run in it if and only if it is resumed") {
  const Folder folder;
  fs::create_directory(folder / "run");
  check_refused([&] { RunFolder(folder / "run", true); }, ErrorKind::argument,
                "there is no run in it to go on with");
  check_refused([&] { RunFolder(folder / "none", true); }, ErrorKind::argument, "there is no run in it");
  CHECK_FALSE(fs::exists(folder / "none"));
  tests::write_text(folder / "run/last.safetensors", "");
  // A file that a process left which is gone is removed; others are not.
  tests::write_text(folder / "run/.last.safetensors.999999999-1.tmp", "");
  tests::write_text(folder / "run/mine.tmp", "");
  check_refused([&] { RunFolder(folder / "run", false); }, ErrorKind::argument,
                "there is a run in it; --resume goes on");
  { const RunFolder on(folder / "run", true); }
  CHECK(fs::exists(folder / "run/last.safetensors"));
  CHECK(fs::exists(folder / "run/mine.tmp"));
  CHECK(entries(folder / "run") == 2);
}

TEST_CASE("a run's folder that cannot be made or takes nothing is an io error") {
  const Folder folder;
  tests::write_text(folder / "file", "");
  check_refused([&] { RunFolder(folder / "file/run", false); }, ErrorKind::io,
                (folder / "file/run") + ": cannot be made: ");
  check_refused([&] { RunFolder("/proc/self", false); }, ErrorKind::io, "/proc/self: cannot be written to: ");
}

TEST_CASE("photos are split by lists, or by the seed") {
  const Folder folder;
  tests::write_text(folder / "train", "c\na\n");
  tests::write_text(folder / "val", "b\n");
  const TrainingSplit lists = split_by_lists({kCaptions}, {folder / "train"}, {folder / "val"});
  CHECK(lists.train == std::vector<std::string>{"c", "a"});
  CHECK(lists.val == std::vector<std::string>{"b"});
  CHECK(lists.test.empty());
  CHECK_FALSE(lists.drawn);
  CHECK(lists.train_captions == std::vector{kCaptions});
  CHECK(lists.val_captions == std::vector{kCaptions});
  check_refused([&] { split_by_lists({kCaptions}, {folder / "train"}, {}); }, ErrorKind::argument,
                "come together");
  check_refused([&] { split_by_lists({kCaptions}, {}, {folder / "val"}); }, ErrorKind::argument,
                "come together");

  CaptionsByPhoto many;
  for (int i = 0; i < 40; ++i) many["photo" + std::to_string(i)] = {"a"};
  const TrainingSplit drawn = split_photos({many}, photos_of(many), 3);
  CHECK(drawn.drawn);
  CHECK(drawn.train.size() == 32);
  CHECK(drawn.val.size() == 4);
  CHECK(drawn.test.size() == 4);
  std::set<std::string> all(drawn.train.begin(), drawn.train.end());
  all.insert(drawn.val.begin(), drawn.val.end());
  all.insert(drawn.test.begin(), drawn.test.end());
  CHECK(all.size() == 40);
  CHECK(drawn.train_captions == std::vector{many});
  CHECK(drawn.val_captions == std::vector{many});
  CHECK(split_photos({many}, photos_of(many), 3).train == drawn.train);
  CHECK(split_photos({many}, photos_of(many), 4).train != drawn.train);
}

TEST_CASE("the original's split is by caption: each is in one part, with its photo") {
  CaptionsByPhoto many;
  for (int i = 0; i < 20; ++i) many["photo" + std::to_string(i / 2)].push_back("caption" + std::to_string(i));
  const TrainingSplit split = split_captions({many}, photos_of(many), 1);
  const auto count = [](const CaptionsByPhoto& captions) {
    size_t n = 0;
    for (const auto& [name, texts] : captions) n += texts.size();
    return n;
  };
  CHECK(count(split.train_captions[0]) == 18);
  CHECK(count(split.val_captions[0]) == 2);
  CaptionsByPhoto both = split.train_captions[0];
  for (const auto& [name, texts] : split.val_captions[0])
    both[name].insert(both[name].end(), texts.begin(), texts.end());
  for (auto& [name, texts] : both) {
    std::sort(texts.begin(), texts.end());
    CHECK(texts == many.at(name));
  }
  const auto names = [](const CaptionsByPhoto& captions) {
    std::vector<std::string> all;
    for (const auto& [name, texts] : captions) all.push_back(name);
    return all;
  };
  CHECK(split.train == names(split.train_captions[0]));
  CHECK(split.val == names(split.val_captions[0]));
  CHECK_FALSE(split.drawn);
  CHECK(split_captions({many}, photos_of(many), 2).val_captions != split.val_captions);
}

TEST_CASE("a split without lists is of the photos that are there, each in one part") {
  CaptionsByPhoto first, second;
  std::vector<std::string> keys;
  for (int i = 0; i < 30; ++i) {
    const std::string name = std::to_string(i) + ".jpg";
    first[name] = {"one of " + name};
    if (i < 20) keys.push_back("photos/" + name);  // of ten there is no file
    second["photos/" + name] = {"another of " + name};
  }
  const TrainingSplit split = split_photos({first, second}, PhotoNames(keys), 5);
  std::set<std::string> all(split.train.begin(), split.train.end());
  all.insert(split.val.begin(), split.val.end());
  all.insert(split.test.begin(), split.test.end());
  CHECK(all.size() == 20);
  CHECK(split.train.size() + split.val.size() + split.test.size() == 20);
  for (const std::string& name : all) {
    CHECK(std::stoi(name) < 20);
    CHECK(split.train_captions[0].at(name) == first.at(name));
    CHECK(split.train_captions[1].at(name) == second.at("photos/" + name));
  }
  // The names are the same as when every photo is there, and so is the draw.
  CHECK(split_photos({first}, photos_of(first), 5).train ==
        split_photos({first, second}, photos_of(first), 5).train);
  CHECK(split_captions({first}, PhotoNames(keys), 1).train.size() <= 18);
  check_refused(
      [&] {
        split_photos({{{"1.jpg", {"a"}}, {"photos/1.jpg", {"b"}}}}, PhotoNames(keys), 5);
      },
      ErrorKind::data, "captions: \"1.jpg\" and \"photos/1.jpg\" mean one photo, \"photos/1.jpg\"");
  check_refused(
      [&] {
        split_photos({{{"x.jpg", {"a"}}}}, PhotoNames(keys), 5);
      },
      ErrorKind::data, "there are no images to split");
}

TEST_CASE("lists are written, and found again") {
  const Folder folder;
  check_refused([&] { saved_lists(folder / "."); }, ErrorKind::argument, "it has no lists of its own");
  TrainingSplit split;
  split.train = {"b", "a"};
  split.val = {"c"};
  split.test = {"d", "e", "f"};
  save_lists(split, folder / ".");
  CHECK(tests::read_text(folder / "train.txt") == "b\na\n");
  CHECK(tests::read_text(folder / "val.txt") == "c\n");
  CHECK(tests::read_text(folder / "test.txt") == "d\ne\nf\n");
  const auto files = saved_lists(folder / ".");
  CHECK(tests::read_text(files.first) == "b\na\n");
  CHECK(tests::read_text(files.second) == "c\n");
  for (const char* name : {"train.txt", "val.txt"}) {
    fs::rename(folder / name, folder / "away");
    check_refused([&] { saved_lists(folder / "."); }, ErrorKind::argument, "--resume needs the --train-list");
    fs::rename(folder / "away", folder / name);
  }
}

TEST_CASE("the captions of some photos, in the order of the photos") {
  CHECK(texts_of({kCaptions}, {"c", "none", "a"}) ==
        std::vector<std::string>{"four", "five", "six", "one", "two"});
  CHECK(texts_of({kCaptions}, {}).empty());
}
