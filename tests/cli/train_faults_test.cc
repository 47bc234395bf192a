// What goes wrong around a training run: full disks, bad photos, bad captions.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>

#include "tests/cli/training_run.h"
#include "tests/rights.h"
#include "tests/skip.h"

namespace fs = std::filesystem;
using tensor::io::Json;
using tests::Folder;
using tests::has;
using tests::Result;
using tests::run;

namespace {

const std::vector<std::string> kPhotos = {"coco_000000000285.jpg", "coco_000000000785.jpg",
                                          "coco_000000000872.jpg", "coco_000000000885.jpg"};

// Programs that are started meanwhile cannot write a file beyond `bytes`: what a full disk is like.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit now{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &now);
  }
  ~FileSizeLimit() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

// Photos of a folder of their own, with captions for each; the last one is for validation.
struct Data {
  Folder folder;
  std::vector<std::string> names;

  explicit Data(std::vector<std::string> photos) : names(std::move(photos)) {
    fs::create_directory(folder / "photos");
    std::string captions = "image_name| comment_number| comment\n", train;
    for (const std::string& name : names) {
      captions += name + "| 0| a photo of something\n" + name + "| 1| something else\n";
      if (name != names.back()) train += name + "\n";
      if (fs::exists(tests::assets() + "/photos/" + name)) put(name);
    }
    tests::write_text(folder / "captions", captions);
    tests::write_text(folder / "train", train);
    tests::write_text(folder / "val", names.back() + "\n");
  }
  void put(const std::string& name) { copy(kPhotos[0], name); }
  void copy(const std::string& from, const std::string& name) {
    fs::copy_file(tests::assets() + "/photos/" + from, photo(name), fs::copy_options::overwrite_existing);
  }
  std::string photo(const std::string& name) const { return folder / ("photos/" + name); }
  Result train(const std::string& out, const std::vector<std::string>& more,
               const std::string& output = "") const {
    std::vector<std::string> all = {
        "--captions",     folder / "captions", "--images",     folder / "photos", "--train-list",
        folder / "train", "--val-list",        folder / "val", "--min-frequency", "1"};
    all.insert(all.end(), more.begin(), more.end());
    return run(tests::train_arguments(folder, out, all), "", output);
  }
};

size_t lines(const std::string& text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

std::vector<std::string> files_in(const std::string& path) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(path)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

TEST_CASE("an output folder that takes nothing") {
  const Data data({kPhotos[0], kPhotos[1], kPhotos[2]});
  const auto refused = [&](const std::string& out) {
    std::vector<std::string> all = {"train",
                                    "--weights",
                                    tests::encoder_in_the_box(),
                                    "--captions",
                                    data.folder / "captions",
                                    "--images",
                                    data.folder / "photos",
                                    "--out",
                                    out};
    const Result result = run(all);
    CHECK(result.code == 2);
    CHECK(has(result.err, out));
    CHECK(lines(result.err) == 1);
    CHECK(result.out.empty());
  };
  refused("/proc/imgcap");                // refuses even root
  refused(data.folder / "captions/run");  // below a file
  fs::create_directory(data.folder / "closed");
  fs::permissions(data.folder / "closed", fs::perms::owner_read | fs::perms::owner_exec);
  const bool ran = tests::bound_by_permissions([&] { refused(data.folder / "closed"); });
  fs::permissions(data.folder / "closed", fs::perms::owner_all);
  if (!ran) SKIP(tests::kRightsStay);
}

TEST_CASE("a disk that gets full leaves the last whole checkpoint") {
  const Data data({kPhotos[0], kPhotos[1], kPhotos[2]});
  {
    const FileSizeLimit limit(64 << 10);
    const Result result = data.train("none", {"--batch", "2", "--steps", "1"});
    CHECK(result.code == 2);
    CHECK(has(result.err, "features.safetensors"));
    CHECK(lines(result.err) == 1);
    CHECK_FALSE(fs::exists(data.folder / "features.safetensors"));
    CHECK_FALSE(fs::exists(data.folder / "none"));
  }
  const auto train = [&](const std::string& steps, const std::vector<std::string>& more) {
    std::vector<std::string> all = {"--batch", "2", "--checkpoint-every", "1", "--steps", steps};
    all.insert(all.end(), more.begin(), more.end());
    return data.train("run", all);
  };
  REQUIRE(train("2", {}).code == 0);
  const std::string last = data.folder / "run/last.safetensors", before = tests::read_text(last);
  REQUIRE(before.size() > (64 << 10));
  {
    const FileSizeLimit limit(64 << 10);
    const Result result = train("6", {"--resume"});
    CHECK(result.code == 2);
    CHECK(has(result.out, "goes on after step 2"));
    CHECK(has(result.err, "safetensors: cannot be written: "));
    CHECK(lines(result.err) == 1);
  }
  CHECK(tests::read_text(last) == before);
  CHECK(files_in(data.folder / "run") ==
        std::vector<std::string>{"best.safetensors", "last.safetensors", "log.jsonl", "samples"});
  const Result resumed = train("6", {"--resume"});
  CAPTURE(resumed.err);
  CHECK(resumed.code == 0);
  CHECK(has(resumed.out, "goes on after step 2"));
}

TEST_CASE("a training run whose output nobody reads goes on to its end") {
  const Data data({kPhotos[0], kPhotos[1], kPhotos[2]});
  const Result unread = data.train("run", {"--batch", "2", "--steps", "2"}, tests::kClosedPipe);
  CAPTURE(unread.err);
  CHECK(unread.code == 0);
  CHECK(files_in(data.folder / "run") ==
        std::vector<std::string>{"best.safetensors", "last.safetensors", "log.jsonl", "samples"});
  const std::vector<Json> log = tests::json_lines(tests::read_text(data.folder / "run/log.jsonl"));
  REQUIRE(log.size() == 4);  // two steps, each an epoch with its validation
  CHECK(log.back().at("step") == 2);
  // Nor does anybody hear of the lists that a run draws.
  const Data more({kPhotos[0], kPhotos[1], kPhotos[2], kPhotos[3], "e.jpg", "f.jpg"});
  for (const char* name : {"e.jpg", "f.jpg"}) fs::copy_file(more.photo(kPhotos[0]), more.photo(name));
  const Result drawn =
      run(tests::train_arguments(more.folder, "drawn",
                                 {"--captions", more.folder / "captions", "--images", more.folder / "photos",
                                  "--min-frequency", "1", "--batch", "1", "--steps", "1"}),
          "", tests::kClosedPipe);
  CAPTURE(drawn.err);
  CHECK(drawn.code == 0);
  CHECK(fs::exists(more.folder / "drawn/best.safetensors"));
  CHECK(fs::exists(more.folder / "drawn/train.txt"));
  // A full disk is no closed pipe.
  const Result full = data.train("full", {"--batch", "2", "--steps", "2"}, "/dev/full");
  CHECK(full.code == 2);
  CHECK(has(full.err, "stdout: cannot be written"));
}

TEST_CASE("captions without words, and a batch that is larger than the data") {
  const Data data({kPhotos[0], kPhotos[1], kPhotos[2]});
  std::string captions = tests::read_text(data.folder / "captions");
  captions += kPhotos[0] + "| 2|\n" + kPhotos[0] + "| 3|   \n" + kPhotos[1] + "| 2\n";
  tests::write_text(data.folder / "captions", captions);
  const Result trained = data.train("run", {"--batch", "2", "--steps", "1"});
  CAPTURE(trained.err);
  CHECK(trained.code == 0);
  CHECK(has(trained.err, "3 rows skipped, the first: "));
  CHECK(has(trained.out, "2 photos with 4 captions to train on"));
  // In JSON an empty caption is well-formed; it has no words either.
  tests::write_text(data.folder / "captions",
                    "{\"images\":[{\"id\":1,\"file_name\":\"" + kPhotos[0] +
                        "\"},{\"id\":2,\"file_name\":\"" + kPhotos[2] +
                        "\"}],\"annotations\":[{\"image_id\":1,\"caption\":\"\"},"
                        "{\"image_id\":1,\"caption\":\"a dog\"},{\"image_id\":2,\"caption\":\"a cat\"}]}");
  const Result coco = data.train("coco", {"--batch", "1", "--steps", "1"});
  CAPTURE(coco.err);
  CHECK(coco.code == 0);
  CHECK(has(coco.out, "1 photos with 1 captions to train on"));
  const Result large = data.train("large", {"--batch", "9", "--steps", "1"});
  CHECK(large.code == 2);
  CHECK(has(large.err, "a batch of 9 photos, but there are "));
}

TEST_CASE("missing and truncated photos are named and counted, and the feature cache remembers them") {
  Data data({kPhotos[0], "cut.jpg", "missing.jpg", kPhotos[1], kPhotos[2]});
  data.put("cut.jpg");
  fs::resize_file(data.photo("cut.jpg"), 3000);
  const std::string cache = data.folder / "features.safetensors";
  const auto train = [&](const std::string& out) {
    Result result = data.train(out, {"--batch", "2", "--steps", "1"});
    CAPTURE(result.err);
    CHECK(result.code == 0);
    return result;
  };
  const Result first = train("first");
  CHECK(has(first.err, "1 photos are missing (first: missing.jpg)"));
  CHECK(has(first.err, "skipped cut.jpg: "));
  CHECK(has(first.err, "1 photos cannot be read"));
  CHECK(has(first.out, "2 photos with 4 captions to train on"));

  const auto made = fs::last_write_time(cache);
  const Result again = train("again");
  CHECK(fs::last_write_time(cache) == made);
  CHECK_FALSE(has(again.err, "added"));
  CHECK(has(again.err, "1 photos are missing (first: missing.jpg)"));
  CHECK(has(again.err, "1 photos cannot be read and are skipped (first: cut.jpg)"));
  CHECK(has(again.out, "2 photos with 4 captions to train on"));

  data.put("missing.jpg");
  const Result found = train("found");
  CHECK(has(found.err, "1 photos are added"));
  CHECK(has(found.out, "3 photos with 6 captions to train on"));
  data.put("cut.jpg");
  const Result mended = train("mended");
  CHECK(has(mended.err, "1 photos are added"));
  CHECK(has(mended.out, "4 photos with 8 captions to train on"));
  CHECK(train("whole").err.empty());
}
