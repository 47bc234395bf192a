#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "imgcap/cli/behaviour_options.h"
#include "imgcap/cli/data_options.h"
#include "imgcap/cli/device_option.h"
#include "imgcap/cli/language_options.h"
#include "imgcap/cli/model_options.h"
#include "imgcap/cli/run_folder.h"
#include "imgcap/cli/run_samples.h"
#include "imgcap/cli/settings.h"
#include "imgcap/cli/train_events.h"
#include "imgcap/cli/train_lines.h"
#include "imgcap/cli/training_sets.h"
#include "imgcap/data/utf8.h"
#include "imgcap/models/decoder_settings.h"
#include "imgcap/training/memory.h"
#include "imgcap/training/new_words.h"
#include "imgcap/training/own_encoder.h"
#include "imgcap/training/precision.h"
#include "imgcap/training/train_settings.h"
#include "imgcap/training/trainer.h"
#include "tensor/cuda/runtime.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"

namespace imgcap::cli {
namespace {

// Of the frozen encoder's batch norm.
enum class EncoderMode { eval, train };
constexpr std::array<const char*, 2> names_of(EncoderMode) { return {"eval", "train"}; }

struct Options {
  std::vector<std::string> captions, images, train_lists, val_lists, set_weights;
  std::string out, features, language;
  EncoderChoice encoder;
  std::string init, vocabulary, profile, tensorboard, device = "cpu";
  EncoderMode encoder_mode = EncoderMode::eval;
  int64_t max_words = 4065, min_frequency = 5, min_references = 1;
  double init_temperature = 1;
  bool no_characters = false, no_new_words = false, resume = false, detect_anomaly = false;
  DecoderConfig decoder;
  TrainOptions train;
};

// `events` may be null.
TrainListener make_listener(ProgressLine& line, const std::string& profile, TrainEvents* events,
                            RunSamples& samples) {
  TrainListener listener;
  if (!profile.empty())
    listener.profile = [&line, profile](const autograd::Profile& p) {
      line.clear();
      tensor::io::write_file_atomically(profile, p.chrome_trace());
      tell(tensor::format("{}the step's course is in {} (open it in ui.perfetto.dev or chrome://tracing)\n",
                          p.table(), profile));
    };
  listener.step = [&line, events](const StepReport& r) {
    if (events != nullptr) events->add(r);
    if (line.is_terminal())
      line.show(progress_line(r));
    else if (r.step % 50 == 0 || r.step == 1 || r.step == r.total_steps)
      tell(step_line(r) + "\n");
  };
  listener.validation = [&line, &samples, events, told = false](const ValidationReport& r) mutable {
    line.clear();
    samples.add(r);
    if (events != nullptr) events->add(r);
    if (!told) tell(validation_basis(r));
    told = true;
    tell(validation_line(r) + "\n");
  };
  return listener;
}

// Self-critical training is the second part of a run, whose captions had their words already.
bool adds_words(const Options& o) {
  return !o.init.empty() && !o.no_new_words && o.train.objective != Objective::self_critical;
}

std::string new_words_line(const std::vector<std::string>& words, int64_t min_frequency) {
  if (words.empty())
    return tensor::format("no new words: the model has all that stand there {} times or more\n",
                          min_frequency);
  constexpr size_t kShown = 8;
  std::string some;
  for (size_t i = 0; i < std::min(words.size(), kShown); ++i)
    some += (i > 0 ? "," : "") + printable(words[i]);
  return tensor::format("new words of the captions ({}):{}{}\n", words.size(), some,
                        words.size() > kShown ? ", ..." : "");
}

// What an --init checkpoint decides cannot be given beside it.
void expect_free_of_model_options(const Verb& verb) {
  const auto expect_open = [&](const char* flag) {
    tensor::check(!verb.given(flag), tensor::ErrorKind::argument,
                  "train: {} is what the checkpoint of --init says; leave it out", flag);
  };
  for (const char* flag : {"--vocabulary", "--max-vocabulary", "--no-characters"}) expect_open(flag);
  const DecoderConfig model;
  for_each_setting(model, [&](const Row& row, const auto&) {
    if (row.flag != no_flag) expect_open(row.flag);
  });
}

std::string cache_of(const Options& o) {
  return o.features.empty() ? o.out + "/features.safetensors" : o.features;
}

SetRequest set_request(const Options& o) {
  return {.captions = o.captions,
          .train_lists = o.train_lists,
          .val_lists = o.val_lists,
          .weights = o.set_weights,
          .images = o.images,
          .language = o.language,
          .cache = cache_of(o),
          .out = o.out,
          .seed = o.train.seed,
          .by_caption = behaviours_of(o.train).split_by_caption,
          .resume = o.resume};
}

// What the vocabulary is made from.
std::vector<LanguageCaptions> captions_of(const Options& o, const std::vector<TrainingSet>& sets) {
  return texts_of(sets, behaviours_of(o.train).words_of_both_parts);
}

// The model of --init.
Checkpoint read_initial(const Options& o) {
  const std::string file = model_file(o.init);
  Checkpoint info = load_checkpoint(file);
  tensor::check(info.encoder == o.encoder.name, tensor::ErrorKind::data,
                "{}: it was trained with {}, not with {}", file, info.encoder, o.encoder.name);
  tensor::check(info.encoder_weights.empty() || o.encoder.weights.empty(), tensor::ErrorKind::argument,
                "{}: it has the weights of its encoder, which was trained with it; leave out --weights",
                file);
  tensor::about_file(file, [&] { info.make_decoder(); });  // whether its weights are whole
  return info;
}

// The run's encoder: the one that the model of --init was trained along with, or that of --encoder and --weights.
LoadedEncoder load_run_encoder(const Options& o, const Checkpoint* initial) {
  if (initial == nullptr) return o.encoder.load();
  LoadedEncoder loaded =
      initial->encoder_weights.empty()
          ? o.encoder.load()
          : load_own_encoder(*initial, encoder_in_the_box(initial->encoder, assets_folder()),
                             model_file(o.init));
  set_preprocessing(loaded, initial->preprocessing);
  o.encoder.set_size(loaded);
  return loaded;
}

// The model of --init as this run begins with it. Sets without a language get its own.
Checkpoint begin_from(Checkpoint info, const Options& o, std::vector<TrainingSet>& sets) {
  info.training.clear();
  info.training_tensors.clear();
  info.confidence.clear();  // of the captions that it wrote
  // Scores of that run's sets, which this one need not have.
  std::erase_if(info.notes, [](const auto& note) {
    return note.first.starts_with("validation_cider.") || note.first.starts_with("validation_bleu4.");
  });
  info.notes["begun_from_epoch"] = info.notes["epoch"];
  sharpen(info.weights, info.decoder, o.init_temperature);
  info.notes["init_temperature"] = tensor::format("{}", o.init_temperature);
  for (TrainingSet& set : sets)
    if (set.language.empty()) set.language = info.language;
  if (adds_words(o)) {
    const std::vector<std::string> words =
        tensor::about_file("train", [&] { return add_words(info, captions_of(o, sets), o.min_frequency); });
    info.notes["new_words"] = tensor::format("{}", words.size());
    tell(new_words_line(words, o.min_frequency));
  }
  return info;
}

// That the vocabulary has them; the first set's becomes the model's default.
void settle_languages(Checkpoint& info, const std::vector<TrainingSet>& sets) {
  const Vocabulary vocabulary = info.make_vocabulary();
  for (const TrainingSet& set : sets) tensor::about_file("train", [&] { vocabulary.language(set.language); });
  info.text_rules = vocabulary.has_languages() ? vocabulary.rules() : std::map<std::string, TextRules>();
  info.language = sets.front().language;
}

// For the original's behaviour. The text says where the languages come from.
void expect_no_languages(const Options& o, const Vocabulary& vocabulary) {
  const std::string source = o.init.empty() ? o.vocabulary : model_file(o.init);
  std::vector<std::string> codes;
  for (const Language& language : vocabulary.languages()) codes.push_back(language.code);
  tensor::check(!vocabulary.has_languages(), tensor::ErrorKind::argument, "train: {} knows no languages; {}",
                kCompatFlag,
                source.empty() ? "leave out --lang, and LANG: before files"
                               : printable(source) + " has " + tensor::join(codes, ", "));
}

// The model, vocabulary and encoder that the run begins from.
Checkpoint first_checkpoint(const Options& o, std::vector<TrainingSet>& sets, const LoadedEncoder& encoder,
                            const Checkpoint* initial) {
  Checkpoint info;
  if (initial != nullptr) {
    info = begin_from(*initial, o, sets);
  } else if (!o.vocabulary.empty()) {
    info.vocabulary = Vocabulary::load(o.vocabulary).tokens();
  } else {
    info.vocabulary =
        Vocabulary::of_languages(captions_of(o, sets), {o.max_words, o.min_frequency, !o.no_characters})
            .tokens();
  }
  settle_languages(info, sets);
  if (o.init.empty()) {
    info.decoder = o.decoder;
    info.decoder.vocabulary = static_cast<int64_t>(info.vocabulary.size());
    info.decoder.features = encoder.encoder->feature_channels();
    validate(info.decoder);
  }
  info.encoder = o.encoder.name;
  if (o.train.finetune > 0 && info.encoder_weights.empty()) info.encoder_base = encoder.key;
  info.encoder_key = encoder.key;
  info.preprocessing = encoder.preprocessing;
  return info;
}

// Where the run is computed, which is none of its settings: a run may go on elsewhere. Found out before anything is read,
// so the sizes are those of the options, which those of an --init model or a vocabulary only come near.
tensor::Device settle_device(const Options& o) {
  constexpr int64_t kWords = 30'000;  // of a vocabulary without a limit
  DecoderConfig model = o.decoder;
  model.vocabulary = o.max_words > 0 ? o.max_words : kWords;
  return choose_device(o.device, o.device == "auto" ? training_bytes(model, o.train) : 0);
}

// In place of `auto`; a run that goes on keeps what it has. One line says what precision 16-bit training has here.
void settle_precision(Options& o, const tensor::Device& device) {
  if (o.train.precision == Precision::automatic && o.resume) {
    o.train.precision = precision_of_run(o.out + "/last.safetensors");
    tell(tensor::format("precision {}, as the run has had\n", to_string(o.train.precision)));
  } else if (o.train.precision == Precision::automatic) {
    const PrecisionChoice choice = choose_precision(device);
    o.train.precision = choice.precision;
    tell(tensor::format("precision {}: {}\n", to_string(choice.precision), choice.why));
  } else if (o.train.precision != Precision::f32) {
    tell(tensor::format("precision {}; here {}\n", to_string(o.train.precision), describe_16_bits(device)));
  }
}

// What is not said takes its value from what is, and what does not fit together is refused. The run's device.
tensor::Device settle(Options& o, const Verb& verb) {
  const tensor::Device device = settle_device(o);
  settle_precision(o, device);
  set_unsaid(o.train, o.decoder.kind, [&](const char* flag) { return verb.given(flag); });
  const bool batch_statistics = behaviours_of(o.train).batch_statistics;
  if (batch_statistics && !verb.given("--encoder-mode") && o.train.finetune == 0)
    o.encoder_mode = EncoderMode::train;
  validate(o.train);
  tensor::check(o.train.precision == Precision::f16 || !verb.given("--loss-scale"),
                tensor::ErrorKind::argument, "train: --loss-scale is for --precision f16; {} needs none",
                to_string(o.train.precision));
  tensor::check(o.train.objective == Objective::self_critical || !verb.given("--min-references"),
                tensor::ErrorKind::argument, "train: --min-references is for --objective self-critical");
  tensor::check(o.encoder_mode == EncoderMode::eval || o.train.finetune == 0, tensor::ErrorKind::argument,
                "train: --encoder-mode train is for an encoder that is not trained (--finetune)");
  expect_language_code(o.language, "train");
  if (!o.init.empty()) expect_free_of_model_options(verb);
  tensor::check(!verb.given("--min-frequency") || o.init.empty() || adds_words(o),
                tensor::ErrorKind::argument,
                "train: no words are added to the model of --init; leave out --min-frequency");
  return device;
}

// What of the encoder's work on each photo is kept: the features, or what the stages take that are trained, or, where
// that is too much to keep, nothing (finetune.h).
int kept_before_stages(const Options& o, const LoadedEncoder& encoder) {
  const auto stages = static_cast<int>(o.train.finetune);
  if (stages == 0 || keeps_stage_inputs(encoder, stages)) return stages;
  tensor::check(
      o.train.augment == Augmentation::Kind::none, tensor::ErrorKind::argument,
      "train: --augment does not go with --finetune {} of {}: what those stages take is too large to be "
      "kept for every changed photo",
      stages, encoder.encoder->name());
  return 0;
}

void tell_sizes(Trainer& trainer, DecoderKind kind, const Dataset& training, const Dataset& validation,
                const Vocabulary& vocabulary, const Encoder* trained) {
  const std::string with_encoder =
      trained != nullptr ? tensor::format(" and {} of the encoder", trained->parameter_count(true)) : "";
  tell(tensor::format(
      "{} model, {} parameters{}; {} photos with {} captions to train on, {} to validate; {} tokens\n",
      to_string(kind), trainer.decoder().parameter_count(), with_encoder, training.photos.size(),
      training.caption_count(), validation.photos.size(), vocabulary.size()));
  if (vocabulary.has_languages()) tell("languages: " + describe_languages(vocabulary) + "\n");
  if (training.sets.empty()) return;
  const std::vector<Dataset> train = parts_of(training), val = parts_of(validation);
  for (size_t s = 0; s < training.sets.size(); ++s)
    tell(tensor::format("set {}: {} photos with {} captions{} of weight {:g} to train on, {} to validate\n",
                        training.sets[s].name, train[s].photos.size(), train[s].caption_count(),
                        vocabulary.has_languages() ? " in " + training.sets[s].language.code : "",
                        training.sets[s].weight, val[s].photos.size()));
}

// What there is to say of a device when a run on it is over.
void tell_memory(const tensor::Device& device) {
  if (device.is_cpu()) return;
  const int64_t peak = tensor::cuda::runtime_of(device, "train").memory_statistics(device.index).peak_bytes;
  tell(tensor::format("{}: at most {:.0f} MiB of its memory in use\n", to_string(device),
                      static_cast<double>(peak) / (1 << 20)));
}

// The exit code.
int tell_end(const Trainer& trainer, Trainer::End end, const std::string& folder, bool several_sets) {
  if (end == Trainer::End::interrupted) {
    tell(tensor::format("stopped after step {}; --resume goes on\n", trainer.step()));
    return 130;
  }
  tell(tensor::format("{}{} CIDEr {:.4f}: {}/best.safetensors\n",
                      end == Trainer::End::patience ? "no better for a while; best" : "best",
                      several_sets ? " mean" : "", trainer.best_score(), folder));
  return 0;
}

void run(Options o, const Verb& verb, Program& program) {
  o.train.seed = program.seed;
  const tensor::Device device = settle(o, verb);
  const std::optional<Checkpoint> begins = o.init.empty() ? std::nullopt : std::optional(read_initial(o));
  const Checkpoint* const initial = begins ? &*begins : nullptr;
  if (initial == nullptr || initial->encoder_weights.empty()) o.encoder.file();
  RunFolder folder(o.out, o.resume);
  std::optional<WritableFolder> events_folder;
  if (!o.tensorboard.empty()) events_folder.emplace(o.tensorboard);
  std::vector<TrainingSet> sets = load_training_sets(set_request(o));
  const std::vector<std::string> train_photos = photos_of(sets, Part::training);
  // Found out now, not after the photos have been encoded.
  tensor::check(o.train.batch_photos <= static_cast<int64_t>(train_photos.size()),
                tensor::ErrorKind::argument, "train: a batch of {} photos, but there are {} to train on",
                o.train.batch_photos, train_photos.size());
  LoadedEncoder encoder = load_run_encoder(o, initial);
  if (o.train.finetune > 0) encoder.encoder->finetune(static_cast<int>(o.train.finetune));
  encoder.encoder->freeze();
  Checkpoint info = first_checkpoint(o, sets, encoder, initial);
  info.notes.erase("device");  // of the --init model; a file that names none was trained on the CPU
  if (!device.is_cpu()) info.notes["device"] = describe_device(device);
  const Vocabulary vocabulary = info.make_vocabulary();
  if (o.train.compat_original) expect_no_languages(o, vocabulary);
  FeatureRequest request{.encoder_name = o.encoder.name,
                         .cache = cache_of(o),
                         .out = o.out,
                         .images = o.images,
                         .train = train_photos,
                         .val = photos_of(sets, Part::validation),
                         .views = training_views(o.train.augment, o.train.augment_views, program.seed),
                         .left_out_stages = kept_before_stages(o, encoder)};
  request.change_validation = behaviours_of(o.train).change_validation;
  request.batch_statistics = o.encoder_mode == EncoderMode::train;
  encoder.encoder->to(device);
  const TrainingFeatures features = load_training_features(encoder, request);

  if (features.moved) info.encoder_weights = features.moved->encoder->state_dict();
  Dataset training = dataset_of(sets, Part::training, features.of_training(), vocabulary, o.train.max_tokens);
  const Dataset validation =
      dataset_of(sets, Part::validation, features.plain, vocabulary, o.train.max_tokens);
  if (o.train.objective == Objective::self_critical)
    training = for_self_critical(std::move(training), o.min_references);
  std::optional<ImageSource> source;
  std::optional<TrainedEncoder> trained;
  if (o.train.finetune > 0)
    trained.emplace(encoder, source.emplace(open_images(o.images)), static_cast<int>(o.train.finetune));
  const bool from_photos = trained && request.left_out_stages == 0;
  Trainer trainer(info, features.plain, training, validation, o.train, o.out,
                  from_photos ? std::vector<const FeatureCache*>() : features.views(),
                  trained ? &*trained : nullptr, device);
  trainer.validate_on(features.validation_views());
  trainer.detect_anomaly(o.detect_anomaly);
  tell_sizes(trainer, info.decoder.kind, training, validation, vocabulary,
             trained ? encoder.encoder.get() : nullptr);
  if (o.resume) trainer.resume();
  std::optional<TrainEvents> events;
  if (events_folder) {
    events.emplace(o.tensorboard, o.resume ? std::optional(trainer.step() + 1) : std::nullopt);
    events_folder->accept();
  }
  folder.accept();
  for (const TrainingSet& set : sets)
    if (set.split.drawn || set.split.from_captions) save_lists(set.split, o.out, set.name);
  if (o.resume) tell(tensor::format("goes on after step {}\n", trainer.step()));
  RunSamples samples(o.out, trainer.step(), trainer.total_steps(), validation, o.images);
  ProgressLine line;
  const StopSignals signals;
  const Trainer::End end =
      trainer.run(make_listener(line, o.profile, events ? &*events : nullptr, samples), stop_flag());
  line.clear();
  tell_memory(device);
  if (const int code = tell_end(trainer, end, o.out, sets.size() > 1); code != 0) program.exit_code = code;
}

}  // namespace

void add_train(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "train", "Train a decoder on photos and captions");
  const auto o = std::make_shared<Options>();
  verb.option(
          "--captions", o->captions,
          "Caption files, in any of the formats (see imgcap data); SET=FILE where there are several data sets, "
          "LANG:FILE or SET=LANG:FILE (en, ar, ...) for a model of several languages")
      .required();
  verb.option(
      "--lang", o->language,
      "The language of captions that name none, two letters (default: none; with --init the model's)");
  verb.option("--images", o->images, "Folders or .tar archives of photos, of all sets").required();
  verb.option(
      "--train-list", o->train_lists,
      "Files of photos to train on, a name per line (default: the captions' own split, or else 80 % by "
      "photo); SET=FILE for one set");
  verb.option("--val-list", o->val_lists, "Photos to validate on; each set has scores of its own");
  verb.option("--set-weight", o->set_weights,
              "SET=NUMBER: multiplies the loss of a set's captions (default: 1, each caption counts once)");
  add_settings(verb, o->decoder, "", "kind", "kind");
  verb.at("--model").one_of(all_names<DecoderKind>());
  add_device_option(verb, o->device);
  o->encoder.add_options(verb);
  verb.option("--out", o->out, "Folder for checkpoints, log and features").required();
  verb.option("--features", o->features, "Feature cache (default: OUT/features.safetensors)");
  add_train_behaviours(verb, o->train);
  add_choice(verb, "--encoder-mode", o->encoder_mode,
             "eval, or train: batch norm of the frozen encoder goes by each batch's statistics, and its "
             "running ones move (the original's mistake)");
  verb.option(
      "--init", o->init,
      "A checkpoint to begin from, or attention or plain: the models in the box. Its weights, vocabulary "
      "and model options count; new words of the captions get rows of their own");
  verb.option("--init-temperature", o->init_temperature,
              "Divides the vocabulary layer of the --init model: below 1 it begins surer of its words, as "
              "self-critical training wants it")
      .positive();
  verb.flag("--no-new-words", o->no_new_words,
            "Keeps the vocabulary of the --init model as it is (self-critical training always does)")
      .needs(verb.at("--init"));
  verb.flag("--resume", o->resume, "Go on from OUT/last.safetensors");
  verb.option("--vocabulary", o->vocabulary, "A vocabulary file in place of one from the training captions");
  verb.option("--max-vocabulary", o->max_words,
              "Most words of the vocabulary, of each language (0: no limit)");
  verb.option("--min-frequency", o->min_frequency, "Rarer words are left out");
  verb.flag("--no-characters", o->no_characters, "Unknown words become <unk>, they are not spelled");
  add_settings(verb, o->decoder, "Model");
  // --help has the precision before the objective, JSON behind it.
  add_settings(verb, o->train, "Training", "epochs", "label_smoothing");
  add_settings(verb, o->train, "Training", "precision", "average_decay");
  add_settings(verb, o->train, "Training");
  verb.option("--min-references", o->min_references,
              "Photos with fewer captions are left out (self-critical): one reference gives an unsure reward")
      .range(1, 1000)
      .group("Training");
  verb.at("--precision").one_of(all_names<Precision>());
  verb.at("--loss-scale").positive();
  verb.at("--finetune-lr").needs(verb.at("--finetune"));
  verb.flag("--detect-anomaly", o->detect_anomaly,
            "Stop at the first op whose result or gradient has a NaN or an infinity, and name it (slow)")
      .group("Diagnosis");
  verb.option("--tensorboard", o->tensorboard,
              "Write losses, rates and scores to this folder for TensorBoard, while the run goes on")
      .group("Diagnosis");
  verb.option("--profile", o->profile,
              "Measure the third step by op, print the table and write a trace for Chrome to this file")
      .group("Diagnosis");
  verb.on_run([o, verb, &program] { run(*o, verb, program); });
}

}  // namespace imgcap::cli
