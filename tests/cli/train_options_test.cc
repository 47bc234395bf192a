// Every option of train, at a value that is not its default: the program's run is, to the bit, the run that
// the library makes of these values when a test hands them over by name.
#include <doctest/doctest.h>

#include <atomic>

#include "imgcap/models/encoder.h"
#include "imgcap/training/encode.h"
#include "imgcap/training/trainer.h"
#include "tensor/format.h"
#include "tensor/io/safetensors.h"
#include "tests/cli/given.h"
#include "tests/cli/training_run.h"

using namespace imgcap;
using tensor::io::Json;
using tests::Folder;
using tests::Given;
using tests::has;
using tests::read_json;
using tests::Result;
using tests::run;

namespace {

// Five photos with captions in two files. In the training part " a" is there seven times, " dog" five, "
// runs" four, " cat" and " sits" three times, what ends in numbers once.
struct Data {
  Folder folder;
  std::string photos = tests::assets() + "/photos";
  std::vector<std::string> train = {"coco_000000000785.jpg", "coco_000000000285.jpg",
                                    "coco_000000000872.jpg"},
                           val = {"coco_000000001268.jpg", "coco_000000000885.jpg"};
  std::map<std::string, std::vector<std::string>> captions = {
      {train[0], {"a dog runs a cat sits a dog runs x1", "a dog x2"}},
      {train[1], {"a cat sits dog runs x3", "a dog"}},
      {train[2], {"cat sits a runs x4"}},
      {val[0], {"a dog sits a cat runs a dog sits y1", "a y2"}},
      {val[1], {"a cat runs", "dog dog dog"}}};

  Data() {
    const std::string header = "image_name| comment_number| comment\n";
    std::string first = header, second = header;
    for (const auto& [name, texts] : captions)
      for (size_t k = 0; k < texts.size(); ++k)
        (k == 0 ? first : second) += name + "|" + std::to_string(k) + "|" + texts[k] + "\n";
    tests::write_text(folder / "captions", first);
    tests::write_text(folder / "more", second);
    const auto list = [&](const std::string& file, const std::vector<std::string>& names) {
      std::string lines;
      for (const std::string& name : names) lines += name + "\n";
      tests::write_text(folder / file, lines);
    };
    list("train.txt", train);
    list("val.txt", val);
  }
  std::vector<std::string> arguments_of_train(const std::string& out,
                                              const std::vector<std::string>& more) const {
    std::vector<std::string> all = arguments(out, more);
    all.insert(all.begin(), "train");
    return all;
  }
  std::vector<std::string> arguments(const std::string& out, const std::vector<std::string>& more) const {
    std::vector<std::string> all = {
        "--captions",   folder / "captions",  folder / "more", "--images",         photos,
        "--train-list", folder / "train.txt", "--val-list",    folder / "val.txt", "--out",
        folder / out};
    all.insert(all.end(), more.begin(), more.end());
    return all;
  }
};

// What a library's run starts from.
struct Start {
  Checkpoint info;
  TrainOptions options;
  std::vector<FeatureCache> features;  // the plain ones first, then the views'
  TrainedEncoder* encoder = nullptr;
};

// The run's lines, without what a clock says.
std::vector<Json> log_of(const std::string& folder) {
  std::vector<Json> lines = tests::json_lines(tests::read_text(folder + "/log.jsonl"));
  for (Json& line : lines) line = tests::without(line, "captions_per_second");
  return lines;
}

Result ran(const std::vector<std::string>& command) {
  Result result = run(command);
  CAPTURE(result.err);
  REQUIRE(result.code == 0);
  return result;
}

// Trains by the library in FOLDER/OUT. Returns what the program's first line says of it.
std::string train_by_library(const Data& data, const Start& start, const std::string& out,
                             bool resume = false) {
  const Vocabulary vocabulary(start.info.vocabulary);
  const FeatureCache& plain = start.features.front();
  const int64_t most = start.options.max_tokens;
  const Dataset training = make_dataset({data.captions}, data.train, plain, vocabulary, most);
  Dataset validation = make_dataset({data.captions}, data.val, plain, vocabulary, most);
  validation.split = "val.txt";
  std::vector<const FeatureCache*> views;
  for (const FeatureCache& each : start.features) views.push_back(&each);
  std::filesystem::create_directories(data.folder / out);
  Trainer trainer(start.info, plain, training, validation, start.options, data.folder / out, views,
                  start.encoder);
  if (resume) trainer.resume();
  const std::atomic<bool> stop{false};
  trainer.run({}, stop);
  return tensor::format("{} model, {} parameters", to_string(start.info.decoder.kind),
                        trainer.decoder().parameter_count());
}

void check_same_run(const Data& data, const std::string& program, const std::string& library) {
  const auto a = log_of(data.folder / program), b = log_of(data.folder / library);
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) CHECK(a[i] == b[i]);
  for (const char* name : {"/last.safetensors", "/best.safetensors"}) {
    const auto own = tensor::io::read_safetensors(data.folder / (program + name)),
               other = tensor::io::read_safetensors(data.folder / (library + name));
    for (const auto& [key, value] : other.metadata) {
      CAPTURE(key);
      CHECK(own.metadata.at(key) == value);
    }
    CHECK(own.metadata.size() == other.metadata.size());
    CHECK(tests::read_text(data.folder / (program + name)) ==
          tests::read_text(data.folder / (library + name)));
  }
}

}  // namespace

TEST_CASE("train: every option counts") {
  const Data data;
  Given given({"train"});
  const Folder& folder = data.folder;
  const LoadedEncoder encoder = load_encoder("efficientnet_lite2", tests::encoder_in_the_box());
  const std::string features = folder / "features.safetensors";

  // The attention model with most of what there is.
  const Result first = ran(given(data.arguments("first", {"--weights",
                                                          tests::encoder_in_the_box(),
                                                          "--features",
                                                          features,
                                                          "--max-vocabulary",
                                                          "4",
                                                          "--min-frequency",
                                                          "4",
                                                          "--no-characters",
                                                          "--embedding",
                                                          "24",
                                                          "--hidden",
                                                          "20",
                                                          "--attention-width",
                                                          "12",
                                                          "--layers",
                                                          "5",
                                                          "--layer-dropout",
                                                          "0.11",
                                                          "--embedding-dropout",
                                                          "0.12",
                                                          "--output-dropout",
                                                          "0.13",
                                                          "--gate",
                                                          "--initial-state",
                                                          "--epochs",
                                                          "6",
                                                          "--steps",
                                                          "7",
                                                          "--batch",
                                                          "2",
                                                          "--optimizer",
                                                          "adam",
                                                          "--lr",
                                                          "3e-3",
                                                          "--weight-decay",
                                                          "2e-2",
                                                          "--schedule",
                                                          "cosine",
                                                          "--warmup-steps",
                                                          "4",
                                                          "--min-lr",
                                                          "1e-3",
                                                          "--clip-norm",
                                                          "0.5",
                                                          "--clip-value",
                                                          "0.02",
                                                          "--teacher-forcing",
                                                          "0.8",
                                                          "--teacher-forcing-fall",
                                                          "0.15",
                                                          "--teacher-forcing-least",
                                                          "0.4",
                                                          "--label-smoothing",
                                                          "0.14",
                                                          "--precision",
                                                          "f16",
                                                          "--loss-scale",
                                                          "1024",
                                                          "--average-decay",
                                                          "0.9",
                                                          "--samples",
                                                          "8",
                                                          "--augment",
                                                          "mild",
                                                          "--augment-views",
                                                          "3",
                                                          "--max-tokens",
                                                          "9",
                                                          "--validate-every",
                                                          "10",
                                                          "--patience",
                                                          "11",
                                                          "--checkpoint-every",
                                                          "12",
                                                          "--beam",
                                                          "1",
                                                          "--seed",
                                                          "13",
                                                          "--profile",
                                                          folder / "trace.json",
                                                          "--detect-anomaly"})));
  Start start;
  start.info.decoder.kind = DecoderKind::attention;
  start.info.decoder.features = 1280;
  start.info.decoder.embedding = 24;
  start.info.decoder.hidden = 20;
  start.info.decoder.attention = 12;
  start.info.decoder.layers = 5;
  start.info.decoder.layer_dropout = 0.11;
  start.info.decoder.embedding_dropout = 0.12;
  start.info.decoder.output_dropout = 0.13;
  start.info.decoder.gate = true;
  start.info.decoder.initial_state = true;
  // Of the five words that are there often enough, three are there four times; the limit is on the words.
  start.info.vocabulary = {"<unk>", "<pad>", "<sos>", "<eos>", " a", " dog", " runs"};
  start.info.decoder.vocabulary = 7;
  start.info.encoder = "efficientnet_lite2";
  start.info.encoder_key = encoder.key;
  start.info.preprocessing = encoder.preprocessing;
  TrainOptions& o = start.options;
  o.epochs = 6;
  o.max_steps = 7;
  o.batch_photos = 2;
  o.optimizer = OptimizerKind::adam;
  o.lr = 3e-3;
  o.weight_decay = 2e-2;
  o.schedule = Schedule::cosine;
  o.warmup_steps = 4;
  o.min_lr = 1e-3;
  o.clip_norm = 0.5;
  o.clip_value = 0.02;
  o.teacher_forcing = 0.8;
  o.teacher_forcing_fall = 0.15;
  o.teacher_forcing_least = 0.4;
  o.label_smoothing = 0.14;
  o.precision = Precision::f16;
  o.loss_scale = 1024;
  o.average_decay = 0.9;
  o.samples = 8;
  o.augment = Augmentation::Kind::mild;
  o.augment_views = 3;
  o.max_tokens = 9;
  o.validate_every = 10;
  o.patience = 11;
  o.checkpoint_every = 12;
  o.validation.beam = 1;
  o.seed = 13;
  start.features.push_back(FeatureCache::open(features));
  CHECK(start.features[0].key() == feature_key(encoder, {}));
  for (int64_t view = 0; view < 3; ++view) {
    start.features.push_back(
        FeatureCache::open(folder / tensor::format("features.mild{}.safetensors", view)));
    EncodeOptions mild;
    mild.augmentation = {.kind = Augmentation::Kind::mild, .view = view, .seed = 13};
    CHECK(start.features.back().key() == feature_key(encoder, mild));
    CHECK(start.features.back().size() == 3);
  }
  CHECK_FALSE(std::filesystem::exists(folder / "features.mild3.safetensors"));
  CHECK(has(first.out, train_by_library(data, start, "first_expected") +
                           "; 3 photos with 5 captions to train on, 2 to validate; 7 tokens"));
  check_same_run(data, "first", "first_expected");
  CHECK(read_json(tests::read_text(folder / "trace.json")).find("traceEvents") != nullptr);
  CHECK(has(first.out, "validation: 2 images of val.txt, 2 references each, "));
  CHECK(has(first.out, ", beam 1\n"));
  // Where no terminal is, the first step, the last one and each fiftieth are printed.
  for (int step = 1; step <= 7; ++step)
    CHECK(has(first.out, tensor::format(" step {}/7 loss ", step)) == (step == 1 || step == 7));
  const double best = log_of(folder / "first").back().at("CIDEr").as_double();
  CHECK(first.out.ends_with(
      tensor::format("best CIDEr {:.4f}: {}/best.safetensors\n", best, folder / "first")));

  // On from it, on the score itself, in two parts. What its training run needed is of no use to another one.
  const std::string init = folder / "init.safetensors";
  Checkpoint begun = load_checkpoint(folder / "first/best.safetensors");
  begun.training = "{\"step\":7}";
  begun.training_tensors["optimizer.of_another_run"] = tensor::Tensor::zeros({2});
  save_checkpoint(init, begun);
  const std::vector<std::string> further = {"--weights",
                                            tests::encoder_in_the_box(),
                                            "--features",
                                            features,
                                            "--init",
                                            init,
                                            "--init-temperature",
                                            "0.5",
                                            "--objective",
                                            "self-critical",
                                            "--samples",
                                            "4",
                                            "--teacher-forcing",
                                            "1",
                                            "--batch",
                                            "1",
                                            "--beam",
                                            "2",
                                            "--steps"};
  const auto with = [](std::vector<std::string> all, const std::vector<std::string>& more) {
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  ran(given(data.arguments("second", with(further, {"2"}))));
  const Result on = ran(given(data.arguments("second", with(further, {"4", "--resume"}))));
  CHECK(has(on.out, "goes on after step 2\n"));
  // Two validations, and what their scores are of is said once.
  CHECK(tests::count(on.out, ": validation loss ") == 2);
  CHECK(tests::count(on.out, "validation: ") == 1);
  start.info = load_checkpoint(folder / "first/best.safetensors");  // as it was
  start.info.notes["begun_from_epoch"] = "4";
  start.info.notes["init_temperature"] = "0.5";
  for (const char* name : {"fc.weight", "fc.bias"}) {
    tensor::Tensor& tensor = start.info.weights.at(name);
    tensor = tensor.clone();
    for (int64_t i = 0; i < tensor.numel(); ++i) tensor.mutable_data<float>()[i] *= 2;
  }
  o = {};
  o.objective = Objective::self_critical;
  o.samples = 4;
  o.teacher_forcing = 1;
  o.batch_photos = 1;
  o.validation.beam = 2;
  start.features.resize(1, start.features[0]);
  o.max_steps = 2;
  train_by_library(data, start, "second_expected");
  o.max_steps = 4;
  train_by_library(data, start, "second_expected", true);
  check_same_run(data, "second", "second_expected");

  // The plain model with an encoder that is trained along; features are where the run is.
  const std::string weights = folder / "resnet18.safetensors";
  tensor::io::write_safetensors(weights, make_encoder("resnet18")->state_dict(), {});
  tests::write_text(folder / "words", "\"<unk>\"\n\"<pad>\"\n\"<sos>\"\n\"<eos>\"\n\" a\"\n\" cat\"\n");
  const Result third = ran(given(data.arguments("third", {"--weights",     weights,
                                                          "--encoder",     "resnet18",
                                                          "--model",       "plain",
                                                          "--vocabulary",  folder / "words",
                                                          "--embedding",   "16",
                                                          "--hidden",      "16",
                                                          "--tie-weights", "--tanh-image",
                                                          "--finetune",    "1",
                                                          "--finetune-lr", "1e-3",
                                                          "--batch",       "3",
                                                          "--steps",       "2",
                                                          "--beam",        "2"})));
  LoadedEncoder tuned = load_encoder("resnet18", weights);
  const ImageSource source({data.photos});
  TrainedEncoder trained(tuned, source, 1);
  start = {};
  start.info.decoder.kind = DecoderKind::plain;
  start.info.decoder.features = 512;
  start.info.decoder.vocabulary = 6;
  start.info.decoder.embedding = start.info.decoder.hidden = 16;
  start.info.decoder.tie_weights = true;
  start.info.decoder.tanh_image = true;
  start.info.vocabulary = {"<unk>", "<pad>", "<sos>", "<eos>", " a", " cat"};
  start.info.encoder = "resnet18";
  start.info.encoder_base = start.info.encoder_key = tuned.key;
  start.info.preprocessing = tuned.preprocessing;
  o.finetune = 1;
  o.finetune_lr = 1e-3;
  o.batch_photos = 3;
  o.max_steps = 2;
  o.validation.beam = 2;
  start.features.push_back(FeatureCache::open(folder / "third/features.before1.safetensors"));
  start.encoder = &trained;
  CHECK(has(third.out,
            train_by_library(data, start, "third_expected") +
                tensor::format(" and {} of the encoder; 3 photos", tuned.encoder->parameter_count(true))));
  check_same_run(data, "third", "third_expected");

  given.elsewhere({"--compat", "--encoder-mode"});        // compat_test.cc
  given.elsewhere({"--device"});                          // device_test.cc
  given.elsewhere({"--tensorboard"});                     // tensorboard_test.cc
  given.elsewhere({"--set-weight", "--min-references"});  // train_sets_test.cc
  given.elsewhere({"--photo-size"});                      // photo_size_test.cc
  given.elsewhere({"--no-new-words"});                    // train_new_words_test.cc
  given.elsewhere({"--lang"});                            // languages_test.cc
  CHECK(given.left() == "");
}

TEST_CASE("train: what the checkpoint of --init decides cannot be given beside it") {
  // All that --help has under Model, and what the vocabulary is made by.
  std::string help = run({"train", "--help"}).out;
  help = help.substr(help.find("\nModel:"));
  help = help.substr(0, help.find("\nTraining:"));
  std::vector<std::string> names = {"--model", "--vocabulary", "--max-vocabulary", "--no-characters"};
  for (const std::string& name : tests::all_between(help, "\n  --", " ")) names.push_back("--" + name);
  CHECK(names.size() == 4 + 11);
  for (const std::string& name : names) {
    std::vector<std::string> command = {"train", "--captions", "c", "--images", "i", "--weights",
                                        "w",     "--out",      "o", "--init",   "x", name};
    if (name == "--model")
      command.emplace_back("plain");
    else if (!has("--no-characters --gate --initial-state --tanh-image --tie-weights", name))
      command.emplace_back("1");
    const Result result = run(command);
    CHECK(result.code == 2);
    CHECK(result.err == "imgcap: train: " + name + " is what the checkpoint of --init says; leave it out\n");
  }
}

TEST_CASE("train: a run that gets no better ends, and photos without captions are counted") {
  const Data data;
  for (const char* list : {"train.txt", "val.txt"})
    tests::write_text(data.folder / list, tests::read_text(data.folder / list) + "coco_000000001993.jpg\n");
  const Result result = ran(data.arguments_of_train("run", {"--weights",
                                                            tests::encoder_in_the_box(),
                                                            "--features",
                                                            data.folder / "features.safetensors",
                                                            "--embedding",
                                                            "8",
                                                            "--hidden",
                                                            "8",
                                                            "--attention-width",
                                                            "8",
                                                            "--layers",
                                                            "1",
                                                            "--batch",
                                                            "3",
                                                            "--min-frequency",
                                                            "1",
                                                            "--lr",
                                                            "0",
                                                            "--epochs",
                                                            "9",
                                                            "--patience",
                                                            "2",
                                                            "--beam",
                                                            "1"}));
  CHECK(tests::count(result.out, ": validation loss ") == 3);  // the first is the best
  CHECK(has(result.out, "\nno better for a while; best CIDEr "));
  CHECK(tests::count(result.err,
                     "1 photos have no captions and are left out (first: coco_000000001993.jpg)\n") == 2);
}
