// What a training run takes turns with.
#include "imgcap/cli/data_options.h"

#include <doctest/doctest.h>

#include "tensor/format.h"
#include "tests/cli/captured.h"
#include "tests/cli/training_run.h"

namespace fs = std::filesystem;
using namespace imgcap;
using namespace imgcap::cli;
using tests::Folder;
using tests::has;
using Kind = Augmentation::Kind;
using Names = std::vector<std::string>;

namespace {

const std::string kBear = "coco_000000000285.jpg", kSkier = "coco_000000000785.jpg",
                  kField = "coco_000000000872.jpg";

void check_view(const Augmentation& view, Kind kind, int64_t number, uint64_t seed) {
  CHECK(view.kind == kind);
  CHECK(view.view == number);
  CHECK(view.seed == seed);
}

FeatureCache cache_of(const std::string& name) {
  return FeatureCache({name}, tensor::Tensor::zeros({1, 1, 1}, tensor::DType::f16), "key of " + name);
}

struct Request {
  Folder folder;
  LoadedEncoder encoder = load_encoder("efficientnet_lite2", tests::encoder_in_the_box());
  FeatureRequest request{.encoder_name = "efficientnet_lite2",
                         .cache = folder / "cache.safetensors",
                         .out = folder / "run",
                         .images = {tests::assets() + "/photos"},
                         .train = {kSkier, kBear},
                         .val = {kField},
                         .views = training_views(Augmentation::Kind::original, 2, 7)};

  Request() { fs::create_directory(folder / "run"); }
  TrainingFeatures load(std::string* said = nullptr) const {
    std::optional<TrainingFeatures> features;
    const auto both = tests::said_by([&] { features = load_training_features(encoder, request); });
    if (said != nullptr) *said = both.err;
    return *std::move(features);
  }
  std::string key(int64_t view, int64_t statistics = 0) const {
    EncodeOptions options;
    options.augmentation = {.kind = Kind::original, .view = view, .seed = 7};
    options.batch_statistics = statistics;
    return feature_key(encoder, options);
  }
};

}  // namespace

TEST_CASE("views by the kind of augmentation: changed photos beside the true ones, or in their place") {
  const auto none = training_views(Augmentation::Kind::none, 3, 5),
             mirror = training_views(Augmentation::Kind::mirror, 3, 5),
             mild = training_views(Augmentation::Kind::mild, 2, 5),
             original = training_views(Augmentation::Kind::original, 2, 5);
  REQUIRE(none.size() == 1);
  check_view(none[0], Kind::none, 0, 0);
  REQUIRE(mirror.size() == 2);
  check_view(mirror[0], Kind::none, 0, 0);
  check_view(mirror[1], Kind::mirror, 0, 0);
  REQUIRE(mild.size() == 3);
  check_view(mild[0], Kind::none, 0, 0);
  check_view(mild[1], Kind::mild, 0, 5);
  check_view(mild[2], Kind::mild, 1, 5);
  REQUIRE(original.size() == 2);
  check_view(original[0], Kind::original, 0, 5);
  check_view(original[1], Kind::original, 1, 5);
}

TEST_CASE("what training and validation take turns with") {
  TrainingFeatures features{cache_of("plain"), {}, {}, {}, true};
  CHECK(features.views() == std::vector<const FeatureCache*>{&features.plain});
  CHECK(features.validation_views().empty());
  CHECK(&features.of_training() == &features.plain);
  features.training = {cache_of("a"), cache_of("b")};
  features.changed_validation = {cache_of("c"), cache_of("d")};
  CHECK(features.views() ==
        std::vector<const FeatureCache*>{&features.plain, &features.training[0], &features.training[1]});
  CHECK(features.validation_views() ==
        std::vector<const FeatureCache*>{&features.changed_validation[0], &features.changed_validation[1]});
  CHECK(&features.of_training() == &features.plain);
  features.plain_is_a_view = false;
  CHECK(features.views() == std::vector<const FeatureCache*>{&features.training[0], &features.training[1]});
  features.moved.emplace();
  CHECK(&features.of_training() == &features.training[0]);
}

TEST_CASE("features of changed photos, and of changed validation photos where they are asked for") {
  Request r;
  r.request.change_validation = true;
  const TrainingFeatures features = r.load();
  CHECK(features.plain.names() == Names{kBear, kSkier, kField});
  CHECK(features.plain.key() == r.encoder.key);
  CHECK_FALSE(features.plain_is_a_view);
  CHECK_FALSE(features.moved.has_value());
  REQUIRE(features.training.size() == 2);
  REQUIRE(features.changed_validation.size() == 2);
  for (int64_t view = 0; view < 2; ++view) {
    const auto i = static_cast<size_t>(view);
    CHECK(features.training[i].names() == Names{kSkier, kBear});
    CHECK(features.training[i].key() == r.key(view));
    CHECK(features.changed_validation[i].names() == Names{kField});
    CHECK(features.changed_validation[i].key() == r.key(view));
    CHECK(FeatureCache::open(r.folder / tensor::format("cache.original{}.safetensors", view)).size() == 2);
    CHECK(
        FeatureCache::open(r.folder / tensor::format("run/validation_features.original{}.safetensors", view))
            .size() == 1);
  }
  CHECK(FeatureCache::open(r.folder / "cache.safetensors").size() == 3);
  r.request.change_validation = false;
  r.request.views = training_views(Augmentation::Kind::mirror, 1, 7);
  const TrainingFeatures mirrored = r.load();
  CHECK(mirrored.changed_validation.empty());
  CHECK(mirrored.plain_is_a_view);
  REQUIRE(mirrored.training.size() == 1);
  CHECK(FeatureCache::open(r.folder / "cache.mirror.safetensors").size() == 2);
}

TEST_CASE("an encoder in training mode moves, and belongs to the run with its features") {
  Request r;
  r.request.batch_statistics = true;
  const TrainingFeatures features = r.load();
  REQUIRE(features.moved.has_value());
  CHECK(features.moved->key != r.encoder.key);
  CHECK_FALSE(features.plain_is_a_view);
  // The validation's are made by the encoder as it is at the end.
  CHECK(features.plain.names() == Names{kField});
  CHECK(features.plain.key() == features.moved->key);
  REQUIRE(features.training.size() == 2);
  for (int64_t view = 0; view < 2; ++view) {
    CHECK(features.training[static_cast<size_t>(view)].names() == Names{kSkier, kBear});
    CHECK(has(features.training[static_cast<size_t>(view)].key(), "statistics of 128 photos"));
  }
  CHECK(features.changed_validation.empty());
  CHECK_FALSE(fs::exists(r.folder / "cache.safetensors"));
  const auto contents = [&](const std::string& name) { return tests::read_text(r.folder / ("run/" + name)); };
  const std::string encoder = contents("encoder.safetensors"),
                    first = contents("training_features.original0.safetensors");
  // The encoder that was given is another one now; a run that goes on loads its own again.
  r.encoder = load_encoder("efficientnet_lite2", tests::encoder_in_the_box());
  CHECK(r.load().moved->key == features.moved->key);
  CHECK(contents("encoder.safetensors") == encoder);
  // Without it the features are of a run that did not get so far: they are made anew.
  fs::remove(r.folder / "run/encoder.safetensors");
  tests::write_text(r.folder / "run/training_features.original0.safetensors", "cut short");
  CHECK(r.load().moved->key == features.moved->key);
  CHECK(contents("encoder.safetensors") == encoder);
  CHECK(contents("training_features.original0.safetensors") == first);
  // Changed validation photos are seen by the moved encoder.
  r.request.change_validation = true;
  r.encoder = load_encoder("efficientnet_lite2", tests::encoder_in_the_box());
  const TrainingFeatures both = r.load();
  REQUIRE(both.changed_validation.size() == 2);
  CHECK(both.changed_validation[1].key().starts_with(both.moved->key));
}
