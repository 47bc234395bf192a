// Every option of the smaller verbs, at a value that is not its default.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <numeric>
#include <sstream>

#include "imgcap/data/picture_format.h"
#include "imgcap/metrics/diversity.h"
#include "imgcap/metrics/scores.h"
#include "imgcap/models/encoder.h"
#include "imgcap/training/encode.h"
#include "imgcap/training/precision.h"
#include "tensor/format.h"
#include "tensor/native_types.h"
#include "tests/cli/given.h"
#include "tests/cli/small_model.h"
#include "tests/data_dir.h"
#include "tests/instrumented.h"

using namespace imgcap;
using tensor::io::Json;
using tests::Folder;
using tests::Given;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

namespace {

const std::string kPhotos = tests::assets() + "/photos", kBear = "coco_000000000285.jpg",
                  kSkier = "coco_000000000785.jpg", kHeader = "image_name| comment_number| comment\n";

std::string write_resnet18(const Folder& folder) {
  const std::string file = folder / "resnet18.safetensors";
  tensor::io::write_safetensors(file, make_encoder("resnet18")->state_dict(), {{"from", "a test"}});
  return file;
}

Result ran(const std::vector<std::string>& command, const std::string& input = "") {
  Result result = run(command, input);
  CAPTURE(result.err);
  CHECK(result.code == 0);
  return result;
}

void refused(const std::vector<std::string>& command, const std::string& why) {
  const Result result = run(command);
  CAPTURE(result.err);
  CHECK(result.code == 2);
  CHECK(has(result.err, why));
  CHECK(result.out.empty());
}

// What `info` says of CUDA, or the beginning of that, by what it says in JSON.
std::string cuda_text(const Json& build) {
  if (!build.at("CUDA").as_bool()) return "no\n";
  std::vector<std::string> devices;
  for (const Json& device : build.at("devices").items())
    devices.push_back(tensor::format("{}: {}; {:.2f} GiB free", device.at("name").as_text(),
                                     device.at("what").as_text(),
                                     static_cast<double>(device.at("free_bytes").as_int64()) / (1 << 30)));
  return devices.empty() ? "yes, but " : tensor::join(devices, "\n               ") + "\n";
}

}  // namespace

TEST_CASE("score: every option counts") {
  const Folder folder;
  Given given({"score"});
  const References references = {{"a.jpg", {"A dog runs on the grass .", "The dog runs"}},
                                 {"b.jpg", {"Two men sit on a bench ."}},
                                 {"c.jpg", {"A red bus"}}};
  const Candidates candidates = {{"a.jpg", "A dog runs ."}, {"b.jpg", "two men sit on the grass ."}};
  tests::write_text(folder / "first",
                    kHeader + "a.jpg|0|A dog runs on the grass .\nb.jpg|0|Two men sit on a bench .\n");
  tests::write_text(folder / "second", kHeader + "a.jpg|1|The dog runs\nc.jpg|0|A red bus\nbroken\n");
  tests::write_text(
      folder / "mine.csv",
      kHeader + "a.jpg|0|A dog runs .\nb.jpg|0|two men sit on the grass .\nc.jpg|0|none of these\n");
  tests::write_text(folder / "list", "b.jpg\na.jpg\n");
  const std::vector<std::string> names = {"a.jpg", "b.jpg"};
  const auto score = [&](std::vector<std::string> more) {
    more.insert(more.begin(),
                {"--references", folder / "first", folder / "second", "--candidates", folder / "mine.csv"});
    return ran(given(more));
  };
  const auto expected = [&](const ScoreOptions& options, bool listed) {
    References some = references;
    Candidates mine = candidates;
    if (listed)
      some.erase("c.jpg");
    else
      mine["c.jpg"] = "none of these";
    return score_captions(mine, some, options);
  };
  ScoreOptions options;
  options.split = "list";
  options.tokenizer = ScoreTokenizer::none;
  const Result listed = score({"--list", folder / "list", "--tokenizer", "none", "--json"});
  // With what is counted of the candidates, listed or all (score_diversity_test.cc).
  const auto counted = [&](const Scores& scores, bool of_listed) {
    Candidates mine = candidates;
    if (!of_listed) mine["c.jpg"] = "none of these";
    return diversity(mine, scores.tokenizer);
  };
  const auto json_of_listed = [&] {
    const Scores scores = expected(options, true);
    Json json = to_json(scores);
    add_diversity(json, counted(scores, true));
    return json.dump() + "\n";
  };
  CHECK(listed.out == json_of_listed());
  CHECK(has(listed.err, "1 rows skipped"));
  CHECK(std::count(listed.err.begin(), listed.err.end(), '\n') ==
        1);  // nothing of the files without a mistake
  options.tokenizer.reset();
  CHECK(score({"--list", folder / "list", "--json"}).out == json_of_listed());
  options.protocol = Protocol::torcheval;
  options.split = "first";  // without a list, the first file of references says where they are from
  const ScoreRow row{"mine.csv", {}, {}, expected(options, false)};
  CHECK(score({"--protocol", "original"}).out ==
        score_table({&row, 1}) + describe(counted(row.scores, false)) + "\n");
  given.elsewhere({"--split", "--per-image"});                // caption_files_test.cc
  given.elsewhere({"--training", "--training-list"});         // score_diversity_test.cc
  given.elsewhere({"--compare", "--interval", "--samples"});  // score_compare_test.cc
  given.elsewhere(tests::kNormalisations);                    // text_options_test.cc
  CHECK(given.left() == "");
  refused({"score", "--references", folder / "first", "--candidates", folder / "missing"},
          (folder / "missing") + ": cannot be read");
  refused({"score", "--references", folder / "first", "--candidates", folder / "mine.csv"}, "c.jpg");
  refused(
      {"score", "--references", folder / "first", "--candidates", folder / "mine.csv", "--protocol", "other"},
      "other not in {standard,original}");
  refused({"score", "--references", folder / "first", "--candidates", folder / "mine.csv", "--protocol",
           "original", "--tokenizer", "ptb"},
          "original");
}

TEST_CASE("prepare and classify: every option counts") {
  const Folder folder;
  const std::string weights = write_resnet18(folder), cache = folder / "features.safetensors";
  const LoadedEncoder encoder = load_encoder("resnet18", weights);
  Given prepare({"prepare"});
  std::filesystem::create_directory(folder / "photos");
  std::filesystem::copy_file(kPhotos + "/" + kSkier, folder / "photos/skier.jpg");
  const std::string bear = kPhotos + "/" + kBear;
  const Result prepared = ran(prepare(
      {"--images", bear, folder / "photos", "--encoder", "resnet18", "--weights", weights, "--out", cache}));
  CHECK(prepared.out == cache + ": 2 photos, 49 places of 512 channels, encoded in f32\n");
  prepare.elsewhere({"--list", "--split", "--captions"});  // caption_files_test.cc
  prepare.elsewhere({"--precision"});                      // encoder_precision_test.cc
  prepare.elsewhere({"--photo-size"});                     // photo_size_test.cc
  prepare.elsewhere({"--device"});                         // encoder_device_test.cc
  CHECK(prepare.left() == "");
  const FeatureCache features = FeatureCache::open(cache);
  CHECK(features.names() == std::vector<std::string>{bear, "skier.jpg"});
  CHECK(features.key() == encoder.key);
  const tensor::Tensor own = encode_images(encoder, {read_image(bear)}).to(tensor::DType::f16);
  CHECK(features.rows({0}).to_vector<float>() == own.to(tensor::DType::f32).to_vector<float>());

  Given classify({"classify"});
  const auto p = encoder.encoder->classify(encoder.encoder->preprocess(read_image(bear))).to_vector<float>();
  std::vector<int> order(p.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return p[static_cast<size_t>(a)] > p[static_cast<size_t>(b)]; });
  const auto classes = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--encoder", "resnet18", "--weights", weights, bear});
    return ran(classify(more)).out;
  };
  // ImageNet's names, which are in the box, or others.
  std::vector<std::string> names, others;
  std::ifstream list(tests::source_dir() / "assets/imagenet_classes.txt");
  for (std::string name; std::getline(list, name);) names.push_back(name);
  REQUIRE(names.size() == 1000);
  CHECK(names[291] == "lion");
  std::string file;
  for (int i = 0; i < 1000; ++i) {
    others.push_back("class " + std::to_string(i));
    file += others.back() + "\n";
  }
  tests::write_text(folder / "names.txt", file);
  const auto expected = [&](const std::vector<std::string>& all) {
    std::string text = bear + ":";
    for (size_t k = 0; k < 3; ++k) {
      const auto id = static_cast<size_t>(order[k]);
      text += tensor::format("{} {} {} ({:.2f} %)", k == 0 ? "" : ",", id, all[id], 100 * p[id]);
    }
    return text + "\n";
  };
  CHECK(classes({"--top", "3"}) == expected(names));
  CHECK(classes({"--top", "3", "--classes", folder / "names.txt"}) == expected(others));
  const Json line = read_json(classes({"--top", "3", "--json"}));
  CHECK(line.at("image") == bear);
  REQUIRE(line.at("classes").size() == 3);
  for (size_t k = 0; k < 3; ++k) {
    CHECK(line.at("classes").at(k).at(0) == order[k]);
    CHECK(static_cast<float>(line.at("classes").at(k).at(1).as_double()) == p[static_cast<size_t>(order[k])]);
    CHECK(line.at("classes").at(k).at(2) == names[static_cast<size_t>(order[k])]);
  }
  classify.elsewhere({"--photo-size"});  // photo_size_test.cc
  classify.elsewhere({"--device"});      // encoder_device_test.cc
  CHECK(classify.left() == "");
}

TEST_CASE("vocab build and tokenize: every option counts") {
  const Folder folder;
  Given given({"vocab", "build"});
  tests::write_text(folder / "a", kHeader + "a.jpg|0|a dog runs\na.jpg|1|a dog\n");
  tests::write_text(folder / "b", kHeader + "b.jpg|0|a dog cat cat\nb.jpg|1|runs a\n");
  const auto build = [&](std::vector<std::string> more) {
    more.insert(more.begin(), {"--captions", folder / "a", folder / "b", "--out", folder / "v"});
    const Result result = ran(given(more));
    CHECK(result.err.empty());
    CHECK(has(result.out, (folder / "v") + ": "));
    CHECK(has(result.out, " tokens of 4 captions\n"));
    return tests::read_text(folder / "v");
  };
  // " a" four times, " dog" three, " cat" and " runs" twice.
  const std::string special = "\"<unk>\"\n\"<pad>\"\n\"<sos>\"\n\"<eos>\"\n";
  CHECK(build({"--max-words", "3", "--min-frequency", "2", "--no-characters"}) ==
        special + "\" a\"\n\" dog\"\n\" cat\"\n");
  CHECK(build({"--max-words", "0", "--min-frequency", "3", "--no-characters"}) ==
        special + "\" a\"\n\" dog\"\n");
  given.elsewhere({"--lang"});  // languages_test.cc
  CHECK(given.left() == "");
  CHECK(build({"--min-frequency", "4"}).starts_with(special + "\" a\"\n\"a\"\n\"b\"\n"));
  refused({"vocab", "build", "--captions", folder / "none", "--out", folder / "w"}, "none: cannot be read");
  CHECK_FALSE(std::filesystem::exists(folder / "w"));
  refused({"vocab", "show", folder / "none"}, "none: cannot be read");
  refused({"vocab"}, "A subcommand is required");

  Given tokenize({"tokenize"});
  CHECK(ran(tokenize({"--rules", "ptb"}), "It.\r\nA dog's\n").out == "[\"it\"]\n[\"a\",\"dog\",\"'s\"]\n");
  // Over empty lines, too, the next line decides whether a period belongs to a letter or to the sentence.
  CHECK(ran(tokenize({"--rules", "ptb"}), "\nletter P.\n\n \nThe end of P.\nThis art.\n5 x art.\n\n5\n\n")
            .out ==
        "[]\n[\"letter\",\"p\"]\n[]\n[]\n[\"the\",\"end\",\"of\",\"p\"]\n[\"this\",\"art.\"]\n"
        "[\"5\",\"x\",\"art\"]\n[]\n[\"5\"]\n[]\n");
  CHECK(ran(tokenize({"--rules", "ptb"}), "the letter P.").out == "[\"the\",\"letter\",\"p.\"]\n");
  CHECK(ran(tokenize({"--rules", "ptb"}), "").out.empty());
  tokenize.elsewhere(tests::kNormalisations);  // text_options_test.cc
  CHECK(tokenize.left() == "");
  refused({"tokenize", "--rules", "other"}, "other not in {spacy,unicode,ptb}");
  const Result all = run({"tokenize"}, "a\n" + std::string((16 << 20) + 1, 'x'));
  CHECK(all.code == 2);
  CHECK(all.out == "[\"a\"]\n");
  CHECK(has(all.err, "stdin:2: a line of more than 16777216 bytes"));
}

TEST_CASE("convert and info: every option and kind of file counts") {
  const Folder folder;
  Given convert({"convert"}), info({"info"});
  const auto converted = [&](const std::string& in, const std::string& format) {
    const std::string out = folder / "out.safetensors";
    std::vector<std::string> arguments = {in, out};
    if (!format.empty()) arguments.insert(arguments.end(), {"--format", format});
    const Result result = ran(convert(arguments));
    return std::pair(result.out, tensor::io::read_safetensors(out));
  };
  const auto shown = [&](const std::string& file) { return read_json(ran(info({file, "--json"})).out); };

  // Weights: the metadata goes along.
  const std::string weights = folder / "weights.safetensors";
  tensor::io::write_safetensors(
      weights,
      {{"w", tensor::Tensor::full({2, 3}, 0.1)}, {"n", tensor::Tensor::full({4}, 5, tensor::DType::i64)}},
      {{"from", "value"}, {"list", "[1, 2]"}, {"names", "[\"a\"]"}});
  for (const auto& [format, dtype] : std::vector<std::pair<std::string, tensor::DType>>{
           {"f16", tensor::DType::f16}, {"f32", tensor::DType::f32}, {"keep", tensor::DType::f32}}) {
    CAPTURE(format);
    const auto [said, file] = converted(weights, format);
    CHECK(said == (folder / "out.safetensors") + ": 2 tensors, 10 values\n");
    CHECK(file.tensors.at("w").dtype() == dtype);
    CHECK(file.tensors.at("w").shape() == tensor::Shape{2, 3});
    CHECK(file.tensors.at("n").dtype() == tensor::DType::i64);
    CHECK(file.metadata.at("from") == "value");
  }
  const Json w = shown(weights);
  CHECK(w.at("file") == weights);
  CHECK(w.at("kind") == "weights");
  CHECK(w.at("values") == 10);
  CHECK(w.at("metadata") == Json::object({{"from", "value"}, {"list", Json::array({1, 2})}, {"names", 1}}));
  CHECK(w.at("tensors") ==
        read_json(R"([{"name":"n","dtype":"i64","shape":[4]},{"name":"w","dtype":"f32","shape":[2,3]}])"));
  CHECK(ran({"info", weights}).out ==
        weights +
            ": weights, 2 tensors, 10 values\n  from: value\n  list: 1, 2\n  names: 1\n"
            "  n i64 (4)\n  w f32 (2, 3)\n");
  // What would command a terminal is escaped.
  tensor::io::write_safetensors(weights, {{"w\x1b[31m", tensor::Tensor::zeros({1})}},
                                {{"a\nb", "\x1b[31m"}, {"c", "[\"\\u001b\", \"d\"]"}});
  CHECK(ran({"info", weights}).out ==
        weights +
            ": weights, 1 tensors, 1 values\n  a\\x0ab: \\x1b[31m\n  c: \\x1b, d\n  w\\x1b[31m f32 (1)\n");
  // f16 that is kept stays f16.
  tensor::io::write_safetensors(weights, {{"w", tensor::Tensor::full({2}, 0.1).to(tensor::DType::f16)}}, {});
  CHECK(converted(weights, "").second.tensors.at("w").dtype() == tensor::DType::f16);
  CHECK(converted(weights, "f32").second.tensors.at("w").dtype() == tensor::DType::f32);
  refused({"convert", weights, folder / "x.safetensors", "--format", "i8"},
          "no checkpoint, and i8 is a format of checkpoints");
  refused({"convert", weights, folder / "x.pth"}, "x.pth: the output's name has to end in .safetensors");
  tensor::io::write_safetensors(weights, {}, {});
  refused({"convert", weights, folder / "x.safetensors"}, weights + ": has no tensors");

  // A checkpoint: without its training run.
  const std::string model = folder / "model.safetensors";
  tests::write_small_model(model, DecoderKind::attention);
  Checkpoint checkpoint = load_checkpoint(model);
  checkpoint.training = "{}";
  checkpoint.training_tensors["optimizer.x"] = tensor::Tensor::zeros({3});
  save_checkpoint(model, checkpoint);
  CHECK(shown(model).at("kind") == "checkpoint of a training run");
  CHECK(shown(model).at("metadata").at("vocabulary") == 10);
  // Settings are lines of text for people, and objects for programs, however deep in texts they stand.
  checkpoint.notes = {{"epoch", "2"}, {"broken", "{no JSON"}};
  checkpoint.notes["options"] = R"({"lr":0.5,"beams":[3,5],"empty":{},"more":"{\"on\":true}"})";
  save_checkpoint(model, checkpoint);
  CHECK(shown(model).at("metadata").at("notes") ==
        read_json(R"({"broken":"{no JSON","epoch":"2","options":)"
                  R"({"lr":0.5,"beams":[3,5],"empty":{},"more":{"on":true}}})"));
  const std::string settings = ran({"info", model}).out;
  CHECK(has(settings, "\n  decoder:\n    kind: attention\n    vocabulary: 10\n"));
  CHECK(has(settings,
            "\n  notes:\n    broken: {no JSON\n    epoch: 2\n    options:\n      lr: 0.5\n"
            "      beams: 3, 5\n      empty: none\n      more:\n        on: true\n  preprocessing:\n"));
  CHECK(has(settings, "\n  vocabulary: 10\n"));
  const auto size = static_cast<int64_t>(checkpoint.weights.size());
  for (const auto& [format, dtype] :
       std::vector<std::pair<std::string, tensor::DType>>{{"f16", tensor::DType::f16},
                                                          {"f32", tensor::DType::f32},
                                                          {"keep", tensor::DType::f32},
                                                          {"i8", tensor::DType::u8}}) {
    CAPTURE(format);
    const auto [said, file] = converted(model, format);
    CHECK(said == (folder / "out.safetensors") + tensor::format(": a model of {} weights\n", size));
    // The attention's matrix of 8 x 1280 is too small for 8 bits, the plain model's would be, too.
    CHECK(file.tensors.at("model.fc.weight").dtype() ==
          (dtype == tensor::DType::u8 ? tensor::DType::f16 : dtype));
    CHECK_FALSE(file.tensors.contains("optimizer.x"));
    CHECK_FALSE(file.metadata.contains("training"));
    CHECK(shown(folder / "out.safetensors").at("kind") == "checkpoint");
  }
  convert.elsewhere({"--rename", "--vocab"});           // foreign_weights_test.cc
  convert.elsewhere({"--average", "--share-encoder"});  // average_test.cc, finetune_test.cc
  CHECK(convert.left() == "");

  // The models' parameters: torchvision's ResNet18 has 11,689,512, its classifier 513 * 1000.
  for (const std::string kind : {"attention", "plain"}) {
    const Json m = read_json(ran(info({"--model", kind, "--encoder", "resnet18", "--json"})).out);
    CHECK(m.at("model") == kind);
    CHECK(m.at("encoder") == "resnet18");
    const Json& n = m.at("parameters");
    CHECK(n.at("frozen") == (kind == "attention" ? 11'689'512 : 11'689'512 - 513'000));
    CHECK(n.at("total") == n.at("frozen").as_int64() + n.at("trainable").as_int64());
    CHECK((n.find("attention") != nullptr) == (kind == "attention"));
  }
  const std::string text = ran({"info", "--model", "plain"}).out;
  CHECK(text ==
        "plain model with resnet50\ntrainable parameters:   29,383,680\nfrozen parameters:      23,508,032\n"
        "total:                  52,891,712\n");
  const std::string attention = ran({"info", "--model", "attention", "--encoder", "resnet18"}).out;
  CHECK(attention.starts_with("attention model with resnet18\ntrainable parameters: "));
  CHECK(has(attention, "\n  of the attention:   "));
  CHECK(has(attention, "\nfrozen parameters:      11,689,512\n"));
  CHECK_FALSE(has(attention, "README"));  // its numbers are of resnet50
  // This build, for people and for scripts.
  const Json build = read_json(ran({"info", "--threads", "3", "--json"}).out);
  const std::string about = ran({"info", "--threads", "3"}).out;
  CHECK("imgcap " + build.at("version").as_text() + "\n" == ran({"--version"}).out);
  CHECK(about.starts_with(tensor::format(
      "imgcap {}, compiled by {}\noneDNN:        {}\nlibjpeg-turbo: {}\npictures:      {}\nCUDA:          {}",
      build.at("version").as_text(), build.at("compiler").as_text(),
      build.at("oneDNN").as_bool() ? "yes" : "no", build.at("libjpeg-turbo").as_bool() ? "yes" : "no",
      readable_formats(), cuda_text(build))));
  CHECK(has(about, tensor::format("\nprocessor:     {}\nthreads:       3\n16 bits:       {}\ninstructions: ",
                                  build.at("processor").as_text(), describe_16_bits())));
  CHECK(build.at("native_bf16") == tensor::has_native_products(tensor::DType::bf16));
  CHECK(build.at("threads") == 3);
  // PyTorch's files are known by their contents or their names.
  const std::string pth = (tests::source_dir() / "tests/golden/pth_state_dict.pth").string();
  for (const char* name : {"no_extension", "a.pt"}) {
    std::filesystem::copy_file(pth, folder / name);
    CHECK(shown(folder / name).at("kind") == "PyTorch file");
    CHECK(shown(folder / name).at("tensors") == shown(pth).at("tensors"));
  }
  info.elsewhere({"--layers"});  // diagnosis_test.cc
  CHECK(info.left() == "");
  refused({"info", weights, "--model", "plain"}, "file excludes --model");
  refused({"info", "--model", "other"}, "other not in {attention,plain}");
  refused({"info", "--model", "plain", "--encoder", "other"}, "'other' is not known");
}

TEST_CASE("gradcheck and ops: every option counts") {
  Given gradcheck({"gradcheck"}), ops({"ops"});
  const Json both = read_json(ran(gradcheck({"--op", "relu", "tanh", "--json"})).out);
  CHECK(both.at("device") == "cpu");
  CHECK(both.at("failed") == 0);
  REQUIRE(both.at("ops").size() == 2);
  CHECK(both.at("ops").at(0).at("op") == "relu");
  CHECK(both.at("ops").at(1).at("op") == "tanh");
  int64_t samples = 0, checks = 0;
  for (const Json& op : both.at("ops").items()) {
    CHECK(op.at("ok") == true);
    CHECK(op.at("failures") == Json::array());
    samples += op.at("samples").as_int64();
    checks += op.at("checks").as_int64();
    // The rounding of each type: 2^-53, 2^-24, 2^-11 and 2^-8, or nothing where relu is exact.
    const Json& worst = op.at("worst_relative_error");
    CHECK(worst.at("f64").as_double() < 1e-12);
    CHECK(worst.at("f32").as_double() < 1e-5);
    CHECK(worst.at("f16").as_double() < 1e-2);
    CHECK(worst.at("bf16").as_double() < 1e-1);
    CHECK(op.at("worst_derivative_error").as_double() < 1e-4);
  }
  CHECK(both.at("ops").at(1).at("worst_relative_error").at("bf16").as_double() >
        both.at("ops").at(1).at("worst_relative_error").at("f16").as_double());
  CHECK(both.at("ops").at(1).at("worst_relative_error").at("f16").as_double() >
        both.at("ops").at(1).at("worst_relative_error").at("f32").as_double());
  CHECK(both.at("ops").at(1).at("worst_relative_error").at("f32").as_double() >
        both.at("ops").at(1).at("worst_relative_error").at("f64").as_double());
  CHECK(both.at("samples") == samples);
  CHECK(both.at("checks") == checks);
  refused(gradcheck({"--op", "relu", "--device", "cuda:9", "--json"}), "cuda:9");
  if (read_json(ran({"info", "--json"}).out).at("devices").size() > 0) {
    const Json there = read_json(ran({"gradcheck", "--op", "relu", "--device", "cuda", "--json"}).out);
    CHECK(there.at("device") == "cuda:0");
    CHECK(there.at("failed") == 0);
    CHECK(there.at("checks").as_int64() > 0);
  }
  const Json one = read_json(ran(gradcheck({"--op", "relu", "--samples", "1", "--json"})).out);
  CHECK(one.at("samples") == 1);
  CHECK(both.at("ops").at(0).at("samples").as_int64() > 1);
  CHECK(gradcheck.left() == "");
  const Result text = ran({"gradcheck", "--op", "relu"});
  CHECK(has(text.out, tensor::format("1 ops, {} samples, {} checks on cpu in ",
                                     both.at("ops").at(0).at("samples").as_int64(),
                                     both.at("ops").at(0).at("checks").as_int64())));
  CHECK(has(text.out, " s: all pass\n"));
  CHECK(text.out.starts_with("op "));
  const Json &relu = both.at("ops").at(0), &errors = relu.at("worst_relative_error");
  std::string row = tensor::format("\n{:<28}{:>8}{:>8}", "relu", relu.at("samples").as_int64(),
                                   relu.at("checks").as_int64());
  for (const char* type : {"f32", "f64", "f16", "bf16"})
    row += tensor::format("{:>10.1e}", errors.at(type).as_double());
  CHECK(has(text.out, row + tensor::format("{:>14.1e}", relu.at("worst_derivative_error").as_double())));

  const auto lines = tests::json_lines(ran(ops({"--json"})).out);
  CHECK(ops.left() == "");
  const auto line = [&](const std::string& name) {
    return *std::find_if(lines.begin(), lines.end(), [&](const Json& each) { return each.at("op") == name; });
  };
  CHECK(lines.front().at("op") == "add");
  CHECK(line("tanh").at("derivatives") == "first and second");
  CHECK(line("decoder_sequence").at("derivatives") == "first");
  CHECK(line("decoder_sequence").at("fused") == true);
  CHECK(line("tanh").at("fused") == false);
  CHECK(line("matmul").at("file") == "autograd/ops/matmul.cc");
  CHECK(line("tanh").at("types") == "f32 f64 f16 bf16");
  // The same for people: each cell begins below its title, and two blanks or more are between any two cells.
  std::vector<std::vector<std::string>> expected = {{"op", "derivatives", "types", "file"}};
  for (const Json& each : lines)
    expected.push_back({each.at("op").as_text(), each.at("derivatives").as_text(), each.at("types").as_text(),
                        each.at("file").as_text() + (each.at("fused").as_bool() ? ", fused" : "")});
  std::istringstream table(ran({"ops"}).out);
  std::string told;
  std::vector<size_t> columns;
  for (const auto& cells : expected) {
    REQUIRE(std::getline(table, told));
    CAPTURE(told);
    if (columns.empty())
      for (const std::string& title : cells) columns.push_back(told.find(title));
    std::string rebuilt;
    for (size_t i = 0; i < cells.size(); ++i) {
      CHECK((i == 0 || columns[i] >= rebuilt.size() + 2));
      rebuilt.resize(columns[i], ' ');
      rebuilt += cells[i];
    }
    CHECK(told == rebuilt);
  }
  CHECK_FALSE(std::getline(table, told));
}

TEST_CASE("bench: every option counts") {
  SKIP_IF_INSTRUMENTED();
  const Folder folder;
  Given given({"bench"});
  const Json found = read_json(
      ran(given({"--only", "resnet50-b1", "--calls", "2", "--pairs", "2", "--threads", "2", "--json"})).out);
  CHECK(found.at("machine").at("threads") == 2);
  REQUIRE(found.at("rows").size() == 1);
  const Json& row = found.at("rows").at(0);
  CHECK(row.at("name") == "resnet50-b1");
  CHECK(row.at("what") == "frozen ResNet50, 1 photo, float32");
  CHECK(row.at("precision") == "f32");
  CHECK(row.at("unit") == "photos");
  CHECK(row.at("runs") == 2);
  const Json& seconds = row.at("seconds");
  CHECK(seconds.at("min").as_double() <= seconds.at("median").as_double());
  CHECK(seconds.at("median").as_double() <= seconds.at("max").as_double());
  CHECK(row.at("per_second").as_double() == doctest::Approx(1 / seconds.at("median").as_double()));
  CHECK(row.at("peak_mib").as_double() > 50);  // ResNet50's weights alone are 90

  const std::string text =
      ran({"bench", "--only", "caption", "--calls", "1", "--pairs", "1", "--threads", "2"}).out;
  CHECK(has(text, ", 2 of "));
  CHECK(has(text, " GFLOP/s float32, "));
  CHECK((has(text, " bf16 (") || has(text, " no bf16, ")));
  CHECK(has(text, "\ncaption: process start to caption, model in the box, beam 5\n  imgcap  "));
  CHECK(has(text, " photos/s "));
  // The photo is the one that is given.
  const Result photo =
      run(given({"--only", "caption", "--photo", folder / "none.jpg", "--calls", "1", "--pairs", "1"}));
  given.elsewhere({"--images", "--scale", "--without-onednn"});  // bench_test.cc
  given.elsewhere({"--device"});                                 // device_test.cc
  CHECK(photo.code == 2);
  CHECK(has(photo.err, "--beam 5 " + (folder / "none.jpg")));
  refused(given({"--only", "caption", "--precision", "f16"}), "there is no row 'caption' in f16");
  CHECK(given.left() == "");
}

TEST_CASE("bench: what is refused") {
  refused({"bench", "--only", "caption", "--precision", "f16"}, "there is no row 'caption' in f16");
  refused({"bench", "--worker", "caption", "--precision", "f16"}, "f16");
  refused({"bench", "--calls", "0"}, "--calls: '0' is not a number from 1 to 1000");
  refused({"bench", "--pairs", "101"}, "--pairs: '101' is not a number from 1 to 100");
}
