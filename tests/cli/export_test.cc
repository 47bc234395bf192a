// export: feature caches as NumPy's files, models as ONNX.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <filesystem>

#include "imgcap/data/feature_cache.h"
#include "imgcap/models/encoder.h"
#include "tensor/io/npy.h"
#include "tests/cli/given.h"
#include "tests/cli/refused.h"
#include "tests/cli/small_model.h"

namespace fs = std::filesystem;
using namespace imgcap;
using tensor::io::Json;
using tests::check_refused;
using tests::Folder;
using tests::Given;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

namespace {

void write_cache(const std::string& file, const std::vector<std::string>& names) {
  const auto n = static_cast<int64_t>(names.size());
  const tensor::Tensor values = tensor::Tensor::arange(n * 6).reshape({n, 2, 3}).to(tensor::DType::f32);
  FeatureCache(names, values.to(tensor::DType::f16), "key").save(file);
}

size_t entries(const std::string& folder) {
  size_t count = 0;
  for ([[maybe_unused]] const auto& entry : fs::directory_iterator(folder)) ++count;
  return count;
}

}  // namespace

TEST_CASE("export: a feature cache as an array and its names, in the order of its rows") {
  const Folder folder;
  const std::string cache = folder / "cache.safetensors", out = folder / "out";
  write_cache(cache, {"b/2.jpg", "a/1.jpg", "\xc3\xa9.jpg"});
  const Result result = run({"export", cache, out});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(result.out == out + ": features.npy (float16, 3 photos, 2 places, 3 channels) and names.txt\n");
  const tensor::Tensor array = tensor::io::read_npy(out + "/features.npy");
  CHECK(array.dtype() == tensor::DType::f16);
  CHECK(array.shape() == tensor::Shape{3, 2, 3});
  CHECK(array.to(tensor::DType::f32).to_vector<float>() ==
        FeatureCache::open(cache).features().to(tensor::DType::f32).to_vector<float>());
  CHECK(tests::read_text(out + "/names.txt") == "b/2.jpg\na/1.jpg\n\xc3\xa9.jpg\n");
  CHECK(entries(folder / "") == 2);  // no temporary folder beside it
}

TEST_CASE("export: only a new or an empty folder is written to") {
  const Folder folder;
  const std::string cache = folder / "cache.safetensors", out = folder / "out";
  write_cache(cache, {"1.jpg"});
  fs::create_directory(out);
  tests::write_text(out + "/mine", "");
  check_refused(run({"export", cache, out}), out + ": there is something in its place");
  CHECK(entries(out) == 1);
  check_refused(run({"export", cache, cache}), cache + ": there is something in its place");
  fs::remove(out + "/mine");
  CHECK(run({"export", cache, out + "/"}).code == 0);  // empty, and named with a slash
  CHECK(entries(out) == 2);
  CHECK(run({"export", cache, folder / "a/b/c"}).code == 0);
  CHECK(entries(folder / "a/b/c") == 2);
  fs::create_directory(folder / "real");
  fs::create_directory_symlink(folder / "real", folder / "link");
  CHECK(run({"export", cache, folder / "link"}).code == 0);
  CHECK(fs::is_symlink(folder / "link"));
  CHECK(entries(folder / "real") == 2);
  check_refused(run({"export", cache, "/proc/imgcap/out"}), "/proc/imgcap");
}

TEST_CASE("export: a full disk leaves nothing") {
  const Folder folder;
  const std::string cache = folder / "cache.safetensors";
  write_cache(cache, std::vector<std::string>{"1.jpg"});
  tests::write_small_model(folder / "model.safetensors", DecoderKind::attention);
  rlimit before{};
  ::getrlimit(RLIMIT_FSIZE, &before);
  const rlimit now{100, before.rlim_max};
  ::setrlimit(RLIMIT_FSIZE, &now);
  const Result features = run({"export", cache, folder / "a/out"}),
               model = run({"export", folder / "model.safetensors", folder / "a/out"});
  ::setrlimit(RLIMIT_FSIZE, &before);
  check_refused(features, "features.npy: cannot be written");
  check_refused(model, "encoder.onnx: cannot be written");
  CHECK(entries(folder / "") == 2);
}

TEST_CASE("export: a model as ONNX, with what captioning needs besides") {
  const Folder folder;
  const std::string model = folder / "model.safetensors", out = folder / "out";
  tests::write_small_model(model, DecoderKind::attention);
  const Result result = run({"export", model, out});
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(result.out == out + ": encoder.onnx, decoder_start.onnx, decoder_step.onnx, model.json\n");
  CHECK(entries(out) == 4);
  const Json json = read_json(tests::read_text(out + "/model.json"));
  CHECK(json.at("format") == "imgcap-onnx-1");
  CHECK(json.at("encoder") == "efficientnet_lite2");
  CHECK(json.at("decoder").at("kind") == "attention");
  CHECK(json.at("decoder").at("hidden") == 8);
  CHECK(json.at("preprocessing").at("height") == 224);
  CHECK(json.at("preprocessing").at("scale") == "byte");
  CHECK(json.at("special_tokens") == Json::object({{"unk", 0}, {"pad", 1}, {"sos", 2}, {"eos", 3}}));
  CHECK(json.at("vocabulary").size() == 10);
  CHECK(json.at("vocabulary").at(6) == " bear");
  CHECK(json.at("notes").at("epoch") == "3");

  // The plain model in the box, by its name.
  const Result plain = run({"export", "plain", folder / "plain"});
  CAPTURE(plain.err);
  REQUIRE(plain.code == 0);
  CHECK(read_json(tests::read_text(folder / "plain/model.json")).at("decoder").at("kind") == "plain");
}

TEST_CASE("export: every option counts") {
  const Folder folder;
  Given given({"export"});
  const std::string model = folder / "model.safetensors", other = folder / "other.safetensors",
                    cache = folder / "cache.safetensors";
  tests::write_small_model(model, DecoderKind::plain);
  tests::write_other_encoder(other);
  REQUIRE(run({"export", model, folder / "one"}).code == 0);
  const Result result = run(given({model, folder / "two", "--weights", other}));
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  CHECK(tests::read_text(folder / "one/encoder.onnx") != tests::read_text(folder / "two/encoder.onnx"));
  for (const char* same : {"decoder_start.onnx", "decoder_step.onnx"})
    CHECK(tests::read_text((folder / "one/") + same) == tests::read_text((folder / "two/") + same));
  write_cache(cache, {"1.jpg"});
  check_refused(run({"export", cache, folder / "three", "--weights", other}),
                cache + ": a feature cache; --weights is for a model's encoder");
  CHECK(given.left() == "");
}

TEST_CASE("export: files that are neither, and names that are no line") {
  const Folder folder;
  check_refused(run({"export", tests::encoder_in_the_box(), folder / "out"}),
                tests::encoder_in_the_box() + ": neither a feature cache nor a checkpoint");
  check_refused(run({"export", folder / "missing", folder / "out"}), folder / "missing");
  tests::write_text(folder / "text", "hello");
  check_refused(run({"export", folder / "text", folder / "out"}), folder / "text");
  const std::string cache = folder / "cache.safetensors";
  write_cache(cache, {"a\nb.jpg"});
  check_refused(run({"export", cache, folder / "out"}),
                cache + ": the photo's name 'a\\x0ab.jpg' has a line break in it");
  CHECK_FALSE(fs::exists(folder / "out"));
}
