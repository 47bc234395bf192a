#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "imgcap/cli/run_folder.h"
#include "imgcap/cli/train_events.h"
#include "imgcap/cli/train_lines.h"
#include "imgcap/cli/training_features.h"
#include "imgcap/cli/training_split.h"
#include "imgcap/training/trainer.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"

namespace imgcap::cli {
namespace {

struct Options {
  std::vector<std::string> captions, images;
  std::string train_list, val_list, model = "attention", encoder = "efficientnet_lite2", weights, out,
                                    features;
  std::string init, vocabulary, compat = "none", encoder_mode = "eval", profile, tensorboard;
  int64_t max_words = 4065, min_frequency = 5;
  double init_temperature = 1;
  bool no_characters = false, resume = false, detect_anomaly = false;
  DecoderConfig decoder;
  TrainOptions train;
};

// `events` may be null.
TrainListener make_listener(ProgressLine& line, int64_t beam, const std::string& profile,
                            TrainEvents* events) {
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
  listener.validation = [&line, beam, events, told = false](const ValidationReport& r) mutable {
    line.clear();
    if (events != nullptr) events->add(r);
    if (!told) tell(tensor::format("validation: {}, beam {}\n", describe(r.scores), beam));
    told = true;
    tell(validation_line(r) + "\n");
  };
  return listener;
}

// What an --init checkpoint decides cannot be given beside it.
void expect_free_of_model_options(const Verb& verb) {
  for (const char* name :
       {"--model", "--vocabulary", "--max-vocabulary", "--min-frequency", "--no-characters", "--embedding",
        "--hidden", "--attention-width", "--layers", "--layer-dropout", "--embedding-dropout",
        "--output-dropout", "--gate", "--initial-state", "--tanh-image", "--tie-weights"})
    tensor::check(!verb.given(name), tensor::ErrorKind::argument,
                  "train: {} is what the checkpoint of --init says; leave it out", name);
}

std::string cache_of(const Options& o) {
  return o.features.empty() ? o.out + "/features.safetensors" : o.features;
}

// By the lists that are given; a run that goes on has its own.
TrainingSplit make_split(const Options& o, const std::vector<CaptionsByPhoto>& captions,
                         const PhotosBySplit& splits, bool as_original, uint64_t seed) {
  if (!o.train_list.empty() || !o.val_list.empty()) return split_by_lists(captions, o.train_list, o.val_list);
  if (as_original) return split_captions(captions, known_photos(o.images, cache_of(o)), seed);
  if (o.resume) {
    const auto [train, val] = saved_lists(o.out);
    return split_by_lists(captions, train, val);
  }
  if (!splits.empty()) return split_as_captions_say(captions, splits);
  return split_photos(captions, known_photos(o.images, cache_of(o)), seed);
}

// What the original does in place of settings that are not given.
void set_original_defaults(Options& o, const Verb& verb) {
  o.train.compat_original = true;
  // It clips after the step, which clips nothing; its plain model is always fed by the caption and sees
  // photos as they are, its attention model changed ones; it validates with a greedy search; its encoder's
  // batch norm is in training mode.
  if (!verb.given("--clip-norm")) o.train.clip_norm = 0;
  if (!verb.given("--teacher-forcing") && o.model == "plain") o.train.teacher_forcing = 1;
  if (!verb.given("--beam")) o.train.validation.beam = 1;
  if (!verb.given("--augment") && o.model == "attention" && o.train.finetune == 0)
    o.train.augment = "original";
  if (!verb.given("--encoder-mode") && o.train.finetune == 0) o.encoder_mode = "train";
}

// The model, vocabulary and encoder that the run begins from.
Checkpoint first_checkpoint(const Options& o, const TrainingSplit& split, const LoadedEncoder& encoder,
                            bool as_original) {
  Checkpoint info;
  if (!o.init.empty()) {
    info = load_checkpoint(o.init);
    tensor::check(info.encoder == o.encoder, tensor::ErrorKind::data,
                  "{}: it was trained with {}, not with {}", o.init, info.encoder, o.encoder);
    tensor::check(info.encoder_weights.empty(), tensor::ErrorKind::data,
                  "{}: it has an encoder of its own (--finetune); such a model cannot begin another run",
                  o.init);
    tensor::about_file(o.init, [&] { info.make_decoder(); });  // whether its weights are whole
    info.training.clear();
    info.training_tensors.clear();
    info.notes["begun_from_epoch"] = info.notes["epoch"];
    sharpen(info.weights, info.decoder, o.init_temperature);
    info.notes["init_temperature"] = tensor::format("{}", o.init_temperature);
  } else if (!o.vocabulary.empty()) {
    info.vocabulary = Vocabulary::load(o.vocabulary).tokens();
  } else {
    std::vector<std::string> texts = texts_of(split.train_captions, split.train);
    if (as_original) {  // the original counts the words of both parts
      const std::vector<std::string> more = texts_of(split.val_captions, split.val);
      texts.insert(texts.end(), more.begin(), more.end());
    }
    info.vocabulary = Vocabulary::build(texts, {o.max_words, o.min_frequency, !o.no_characters}).tokens();
  }
  if (o.init.empty()) {
    info.decoder = o.decoder;
    info.decoder.kind = decoder_kind(o.model);
    info.decoder.vocabulary = static_cast<int64_t>(info.vocabulary.size());
    info.decoder.features = encoder.encoder->feature_channels();
    validate(info.decoder);
  }
  info.encoder = o.encoder;
  info.encoder_key = encoder.key;
  info.preprocessing = encoder.preprocessing;
  return info;
}

void run(Options o, const Verb& verb, Program& program) {
  o.train.seed = program.seed;
  const bool as_original = o.compat == "original";
  if (as_original) set_original_defaults(o, verb);
  validate(o.train);
  tensor::check(o.train.precision == "f16" || !verb.given("--loss-scale"), tensor::ErrorKind::argument,
                "train: --loss-scale is for --precision f16; {} needs none", o.train.precision);
  tensor::check(o.encoder_mode == "eval" || o.train.finetune == 0, tensor::ErrorKind::argument,
                "train: --encoder-mode train is for an encoder that is not trained (--finetune)");
  if (!o.init.empty()) expect_free_of_model_options(verb);
  RunFolder folder(o.out, o.resume);
  std::optional<WritableFolder> events_folder;
  if (!o.tensorboard.empty()) events_folder.emplace(o.tensorboard);
  PhotosBySplit splits;
  const auto captions = load_captions(o.captions, &splits);
  const TrainingSplit split = make_split(o, captions, splits, as_original, program.seed);
  // Found out now, not after the photos have been encoded.
  tensor::check(o.train.batch_photos <= static_cast<int64_t>(split.train.size()), tensor::ErrorKind::argument,
                "train: a batch of {} photos, but there are {} to train on", o.train.batch_photos,
                split.train.size());
  LoadedEncoder encoder = load_encoder(o.encoder, o.weights);
  say(encoder.remarks);
  if (o.train.finetune > 0) encoder.encoder->finetune(static_cast<int>(o.train.finetune));
  encoder.encoder->freeze();
  Checkpoint info = first_checkpoint(o, split, encoder, as_original);
  const Vocabulary vocabulary(info.vocabulary);
  FeatureRequest request{.encoder_name = o.encoder,
                         .cache = cache_of(o),
                         .out = o.out,
                         .images = o.images,
                         .train = split.train,
                         .val = split.val,
                         .views = training_views(o.train.augment, o.train.augment_views, program.seed)};
  request.change_validation = as_original && o.train.augment == "original";
  request.batch_statistics = o.encoder_mode == "train";
  const TrainingFeatures features = load_training_features(encoder, request);

  if (features.moved) info.encoder_weights = features.moved->encoder->state_dict();
  const Dataset training =
      make_dataset(split.train_captions, split.train, features.of_training(), vocabulary, o.train.max_tokens);
  Dataset validation =
      make_dataset(split.val_captions, split.val, features.plain, vocabulary, o.train.max_tokens);
  validation.split =
      o.val_list.empty() ? "the validation part" : std::filesystem::path(o.val_list).filename().string();
  report_without_captions(training);
  report_without_captions(validation);
  std::optional<ImageSource> source;
  std::optional<TrainedEncoder> trained;
  if (o.train.finetune > 0)
    trained.emplace(encoder, source.emplace(open_images(o.images)), static_cast<int>(o.train.finetune));
  Trainer trainer(info, features.plain, training, validation, o.train, o.out, features.views(),
                  trained ? &*trained : nullptr);
  trainer.validate_on(features.validation_views());
  trainer.detect_anomaly(o.detect_anomaly);
  const std::string with_encoder =
      trained ? tensor::format(" and {} of the encoder", encoder.encoder->parameter_count(true)) : "";
  tell(tensor::format(
      "{} model, {} parameters{}; {} photos with {} captions to train on, {} to validate; {} tokens\n",
      to_string(info.decoder.kind), trainer.decoder().parameter_count(), with_encoder, training.photos.size(),
      training.caption_count(), validation.photos.size(), vocabulary.size()));
  if (o.resume) trainer.resume();
  std::optional<TrainEvents> events;
  if (events_folder) {
    events.emplace(o.tensorboard);
    events_folder->accept();
  }
  folder.accept();
  if (split.drawn || split.from_captions) save_lists(split, o.out);
  if (o.resume) tell(tensor::format("goes on after step {}\n", trainer.step()));
  ProgressLine line;
  const StopSignals signals;
  const Trainer::End end = trainer.run(
      make_listener(line, o.train.validation.beam, o.profile, events ? &*events : nullptr), stop_flag());
  line.clear();
  if (end == Trainer::End::interrupted) {
    tell(tensor::format("stopped after step {}; --resume goes on\n", trainer.step()));
    program.exit_code = 130;
    return;
  }
  tell(tensor::format("{} CIDEr {:.4f}: {}/best.safetensors\n",
                      end == Trainer::End::patience ? "no better for a while; best" : "best",
                      trainer.best_score(), o.out));
}

}  // namespace

void add_train(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "train", "Train a decoder on photos and captions");
  const auto o = std::make_shared<Options>();
  verb.option("--captions", o->captions, "Caption files, in any of the formats (see imgcap data)").required();
  verb.option("--images", o->images, "Folders or .tar archives of photos").required();
  verb.option("--train-list", o->train_list,
              "Photos to train on, a name a line (default: the captions' own split, or else 80 % by photo)");
  verb.option("--val-list", o->val_list, "Photos to validate on");
  verb.option("--model", o->model, "attention or plain").one_of({"attention", "plain"});
  verb.option("--encoder", o->encoder, "efficientnet_lite2, resnet18, resnet34, resnet50 or resnet101");
  verb.option("--weights", o->weights, "The encoder's weights (.safetensors or .pth)").required();
  verb.option("--out", o->out, "Folder for checkpoints, log and features").required();
  verb.option("--features", o->features, "Feature cache (default: OUT/features.safetensors)");
  verb.option("--compat", o->compat,
              "original: do as the original program did. The loss counts the <sos> slot, the vocabulary "
              "has the words of both parts, validation is its greedy search (its beam search with --beam) "
              "with its strings and scores. Where they are not given: no --clip-norm, the plain model's "
              "--teacher-forcing 1, the attention model's --augment original (validation photos, too), "
              "--encoder-mode train, and "
              "in place of the lists 90/10 by caption")
      .one_of({"none", "original"});
  verb.option("--encoder-mode", o->encoder_mode,
              "eval, or train: batch norm of the frozen encoder goes by each batch's statistics, and its "
              "running ones move (the original's mistake)")
      .one_of({"eval", "train"});
  verb.option("--init", o->init,
              "A checkpoint to begin from: its weights, vocabulary and model options count");
  verb.option("--init-temperature", o->init_temperature,
              "Divides the vocabulary layer of the --init model: below 1 it begins surer of its words, as "
              "self-critical training wants it")
      .positive();
  verb.flag("--resume", o->resume, "Go on from OUT/last.safetensors");
  verb.option("--vocabulary", o->vocabulary, "A vocabulary file in place of one from the training captions");
  verb.option("--max-vocabulary", o->max_words, "Most words of the vocabulary (0: no limit)");
  verb.option("--min-frequency", o->min_frequency, "Rarer words are left out");
  verb.flag("--no-characters", o->no_characters, "Unknown words become <unk>, they are not spelled");
  DecoderConfig& d = o->decoder;
  verb.option("--embedding", d.embedding, "Width of the word embedding").group("Model");
  verb.option("--hidden", d.hidden, "Width of the LSTM").group("Model");
  verb.option("--attention-width", d.attention, "Width of the attention layer").group("Model");
  verb.option("--layers", d.layers, "LSTM layers").group("Model");
  verb.option("--layer-dropout", d.layer_dropout, "Dropout between LSTM layers").group("Model");
  verb.option("--embedding-dropout", d.embedding_dropout, "Dropout on word embeddings").group("Model");
  verb.option("--output-dropout", d.output_dropout, "Dropout before the vocabulary layer").group("Model");
  verb.flag("--gate", d.gate, "A gate on the attention's context").group("Model");
  verb.flag("--initial-state", d.initial_state, "Initial state from the mean feature").group("Model");
  verb.flag("--tanh-image", d.tanh_image, "The image as tanh of one linear layer (plain model)")
      .group("Model");
  verb.flag("--tie-weights", d.tie_weights, "One matrix for embedding and vocabulary layer").group("Model");
  TrainOptions& t = o->train;
  verb.option("--epochs", t.epochs, "Passes over the training photos").group("Training");
  verb.option("--steps", t.max_steps, "Stop after so many steps (0: by epochs)").group("Training");
  verb.option("--batch", t.batch_photos, "Photos a batch, each with all its captions").group("Training");
  verb.option("--optimizer", t.optimizer, "adam, adamw or sgd").group("Training");
  verb.option("--lr", t.lr, "Learning rate").group("Training");
  verb.option("--weight-decay", t.weight_decay, "Weight decay").group("Training");
  verb.option(
          "--schedule", t.schedule,
          "constant, cosine, or plateau: halved when two validations bring no better CIDEr (with --compat "
          "original: six no lower loss)")
      .group("Training");
  verb.option("--warmup-steps", t.warmup_steps, "Steps of linear warm-up (cosine)").group("Training");
  verb.option("--min-lr", t.min_lr, "The least learning rate").group("Training");
  verb.option("--clip-norm", t.clip_norm, "Clip the gradients' norm (0: off)").group("Training");
  verb.option("--clip-value", t.clip_value, "Clip each gradient element (0: off)").group("Training");
  verb.option("--teacher-forcing", t.teacher_forcing, "Share of steps fed by the caption").group("Training");
  verb.option("--teacher-forcing-fall", t.teacher_forcing_fall, "Its fall an epoch").group("Training");
  verb.option("--teacher-forcing-least", t.teacher_forcing_least, "Its least value").group("Training");
  verb.option("--label-smoothing", t.label_smoothing, "Label smoothing").group("Training");
  verb.option("--precision", t.precision,
              "Of the products in training: f32, f16 (with a loss scale) or bf16. On a processor the 16-bit "
              "ones are emulated: f32's time and more, for trying out what a GPU would give")
      .one_of({"f32", "f16", "bf16"})
      .group("Training");
  verb.option("--loss-scale", t.loss_scale,
              "The first loss scale (f16); it is halved when gradients overflow")
      .positive()
      .group("Training");
  verb.option("--average-decay", t.average_decay, "Decay of the averaged weights (0: off)").group("Training");
  verb.option("--objective", t.objective,
              "cross-entropy of the captions, or self-critical: CIDEr of captions that the model draws "
              "(Rennie et al. 2017; begin from a trained model, --init)")
      .group("Training");
  verb.option("--samples", t.samples, "Captions drawn a photo (self-critical)").group("Training");
  verb.option("--augment", t.augment,
              "Changed training photos beside the true ones: none, mirror, mild (parts of 60 % and "
              "more, mirrored "
              "or not, colours), or in their place: original (rotation, small crop, colours)")
      .group("Training");
  verb.option("--augment-views", t.augment_views, "Changed copies of each photo (mild, original)")
      .group("Training");
  const Option finetune =
      verb.option("--finetune", t.finetune,
                  "Train the encoder's last stages, too (0: none); its batch norm keeps its statistics")
          .group("Training");
  verb.option("--finetune-lr", t.finetune_lr, "Learning rate of the encoder's stages")
      .needs(finetune)
      .group("Training");
  verb.option("--max-tokens", t.max_tokens, "Cut longer captions (0: no limit)").group("Training");
  verb.option("--validate-every", t.validate_every, "Epochs between validations").group("Training");
  verb.option("--patience", t.patience, "Validations without a better CIDEr (0: no limit)").group("Training");
  verb.option("--checkpoint-every", t.checkpoint_every, "Steps between checkpoints").group("Training");
  verb.option("--beam", t.validation.beam, "Beam width of the validation").group("Training");
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
