// One rule for photos' names in every command: two folders with photos of one name, names with other folders
// in front, and caches whose names are the bare ones of earlier versions.
#include <doctest/doctest.h>

#include "imgcap/data/feature_cache.h"
#include "imgcap/models/encoder.h"
#include "tests/cli/refused.h"
#include "tests/cli/small_model.h"

namespace fs = std::filesystem;
using tensor::io::Json;
using tests::Folder;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

namespace {

// a/1.jpg and b/1.jpg, another photo, with captions and a list that name both.
struct Two {
  Folder folder;
  std::string photos = folder / "photos", model = folder / "small.safetensors",
              captions = folder / "captions", list = folder / "list.txt",
              header = "image_name| comment_number| comment\n";

  Two() {
    tests::write_small_model(model, imgcap::DecoderKind::plain, 5, 4);
    for (const auto& [name, photo] : {std::pair{"a", "285"}, {"b", "785"}}) {
      fs::create_directories(photos + "/" + name);
      fs::copy_file(tests::assets() + "/photos/coco_000000000" + photo + ".jpg",
                    photos + "/" + name + "/1.jpg");
    }
    tests::write_text(captions, header + "a/1.jpg|0|a bear a plane\nphotos\\b\\1.jpg|0|plane a . bear\n");
    tests::write_text(list, "b/1.jpg\n./a/1.jpg\n");
  }
  Result eval(const std::vector<std::string>& images, std::vector<std::string> more = {}) const {
    std::vector<std::string> all = {"eval",   "--checkpoint", model,    "--captions", captions,
                                    "--list", list,           "--json", "--images"};
    all.insert(all.end(), images.begin(), images.end());
    all.insert(all.end(), more.begin(), more.end());
    return run(all);
  }
};

}  // namespace

TEST_CASE("photo names: caption prints the path below the folder, and the root where two would be alike") {
  const Two two;
  const auto images = [&](const std::vector<std::string>& given) {
    std::vector<std::string> arguments = {"caption", "--model", two.model, "--json"};
    arguments.insert(arguments.end(), given.begin(), given.end());
    std::vector<std::string> names;
    for (const Json& line : tests::json_lines(run(arguments).out))
      names.push_back(line.at("image").as_text());
    return names;
  };
  using Names = std::vector<std::string>;
  CHECK(images({two.photos}) == Names{"a/1.jpg", "b/1.jpg"});
  CHECK(images({two.photos + "/a"}) == Names{"1.jpg"});
  CHECK(images({two.photos + "/a", two.photos + "/b"}) ==
        Names{two.photos + "/a/1.jpg", two.photos + "/b/1.jpg"});
  CHECK(images({two.photos + "/b/1.jpg"}) == Names{two.photos + "/b/1.jpg"});
}

TEST_CASE("photo names: captions, lists and photos meet across folders, slashes and roots") {
  const Two two;
  const std::string out = two.folder / "out.json", features = two.folder / "features.safetensors";
  const Result whole = two.eval({two.photos}, {"--out", out, "--features", features});
  CAPTURE(whole.err);
  REQUIRE(whole.code == 0);
  CHECK(read_json(whole.out).at("images") == 2);
  CHECK(imgcap::FeatureCache::open(features).names() == std::vector<std::string>{"b/1.jpg", "a/1.jpg"});
  const Json results = read_json(tests::read_text(out));
  CHECK(results.at("captions").size() == 2);
  // The same by two roots, whose keys have the roots in front.
  const Result roots = two.eval({two.photos + "/a", two.photos + "/b"});
  CAPTURE(roots.err);
  CHECK(roots.out == whole.out);
  // Its own results are scored to the same numbers, by the names of the list or with another folder in front.
  Json renamed = results;
  Json& captions = renamed["captions"] = Json::array();
  for (Json caption : results.at("captions").items()) {
    caption["image_id"] = "/data/photos/" + caption.at("image_id").as_text();
    captions.push_back(std::move(caption));
  }
  tests::write_text(two.folder / "renamed.json", renamed.dump());
  for (const std::string& candidates : {out, two.folder / "renamed.json"}) {
    const Result scored = run(
        {"score", "--references", two.captions, "--candidates", candidates, "--list", two.list, "--json"});
    CAPTURE(scored.err);
    CHECK(read_json(scored.out).at("CIDEr") == read_json(whole.out).at("CIDEr"));
  }
}

TEST_CASE("photo names: a name of two photos is refused with both, and so are two names of one photo") {
  const Two two;
  tests::write_text(two.captions, two.header + "1.jpg|0|a bear a plane\n");
  tests::check_refused(two.eval({two.photos}),
                       "\"1.jpg\" means two photos, \"b/1.jpg\" and \"a/1.jpg\": name it with its folder");
  tests::write_text(two.captions, two.header + "a/1.jpg|0|a bear\nx/a/1.jpg|0|plane\n");
  tests::check_refused(two.eval({two.photos}), "\"a/1.jpg\" and \"x/a/1.jpg\" mean one photo, \"a/1.jpg\"");
  tests::write_text(two.list, "1.jpg\n");
  tests::check_refused(two.eval({two.photos}),
                       "\"1.jpg\" means two photos, \"a/1.jpg\" and \"b/1.jpg\": name it with its folder");
  tests::write_text(two.list, "a/1.jpg\nphotos/a/1.jpg\n");
  tests::check_refused(two.eval({two.photos}),
                       "\"a/1.jpg\" and \"photos/a/1.jpg\" mean one photo, \"a/1.jpg\"");
  const std::string one = two.folder / "one.json", twice = two.folder / "twice.json";
  tests::write_text(one, R"([{"image_id":"1.jpg","caption":"a bear"}])");
  tests::write_text(twice,
                    R"([{"image_id":"a/1.jpg","caption":"a bear"},{"image_id":"1.jpg","caption":"a"}])");
  tests::check_refused(run({"score", "--references", one, "--candidates", twice}),
                       "\"a/1.jpg\" and \"1.jpg\" mean one photo, \"1.jpg\"");
}

TEST_CASE("photo names: a cache of bare names is used as it is, except where two photos have one of them") {
  const Two two;
  tests::write_text(two.list, "b/1.jpg\n");
  const std::string captions = tests::read_text(two.captions);
  tests::write_text(two.captions, two.header + "b/1.jpg|0|plane a . bear\n");
  const std::string features = two.folder / "features.safetensors";
  REQUIRE(two.eval({two.photos + "/b"}, {"--features", features}).code == 0);
  const auto cache = imgcap::FeatureCache::open(features);
  REQUIRE(cache.names() == std::vector<std::string>{"1.jpg"});
  const std::string bytes = tests::read_text(features);
  // No photo is there: whatever is scored comes from the cache.
  fs::rename(two.photos, two.folder / "away");
  const Result cached = two.eval({two.photos}, {"--features", features});
  CAPTURE(cached.err);
  CHECK(cached.code == 0);
  CHECK(tests::read_text(features) == bytes);
  // Which of two photos the bare name is of nobody knows: both are encoded, each under its key.
  fs::rename(two.folder / "away", two.photos);
  tests::write_text(two.list, "b/1.jpg\na/1.jpg\n");
  tests::write_text(two.captions, captions);
  const Result both = two.eval({two.photos}, {"--features", features});
  CAPTURE(both.err);
  CHECK(both.code == 0);
  CHECK(has(both.err, "2 photos are added"));
  CHECK(imgcap::FeatureCache::open(features).names() ==
        std::vector<std::string>{"1.jpg", "b/1.jpg", "a/1.jpg"});
  CHECK(two.eval({two.photos}, {"--features", features}).out == two.eval({two.photos}).out);
}
