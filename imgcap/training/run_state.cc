#include "imgcap/training/run_state.h"

#include <map>
#include <string>
#include <vector>

#include "imgcap/data/utf8.h"
#include "imgcap/training/make_optimizer.h"
#include "tensor/error.h"
#include "tensor/io/json.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;
using tensor::io::Json;

namespace {

void put(Json& json, const char* name, const optim::State& state, std::map<std::string, Tensor>& tensors) {
  json[name] = state.scalars;
  for (const auto& [key, value] : state.tensors) tensors[std::string(name) + "." + key] = value;
}

optim::State get(const Json& json, const std::string& name, const std::map<std::string, Tensor>& tensors) {
  optim::State state;
  const Json& scalars = json.at(name);
  for (size_t i = 0; i < scalars.size(); ++i)
    state.scalars[scalars.keys()[i]] = scalars.items()[i].as_double();
  for (const auto& [key, value] : tensors)
    if (key.starts_with(name + ".")) state.tensors[key.substr(name.size() + 1)] = value;
  return state;
}

// What a checkpoint says of its run, with every entry of the kind that it has to have.
Json training_of(const Checkpoint& checkpoint, const RunState& state, const std::string& file) {
  Json json = Json::try_parse(checkpoint.training).value_or(Json());
  const auto has = [&](const char* key, auto fits) {
    const Json* found = json.find(key);
    return found != nullptr && fits(*found);
  };
  bool good = has("best", [](const Json& v) { return v.is_number(); }) &&
              has("generator", [](const Json& v) { return v.size() == 2; });
  for (const char* key : {"photos", "captions", "epoch", "batch", "step", "worse"})
    good = good && has(key, [](const Json& v) { return v.is_integer() && v.as_double() >= 0; });
  std::vector<const char*> parts = {"options", "optimizer", "scheduler"};
  if (state.average) parts.push_back("average");
  if (state.scaler.is_enabled()) parts.push_back("scaler");
  for (const char* key : parts) good = good && has(key, [](const Json& v) { return v.is_object(); });
  check(good, ErrorKind::data, "{}: it holds no training run to go on with", file);
  return json;
}

// "lr is 0.0004, here 0.001": what differs between two flat JSON objects.
std::string differences(const std::string& saved, const std::string& own) {
  const Json a = Json::parse(saved, "settings"), b = Json::parse(own, "settings");
  std::vector<std::string> parts;
  for (const std::string& key : a.keys()) {
    const Json* here = b.find(key);
    if (here == nullptr || *here != a.at(key))
      parts.push_back(tensor::format("{} is {}, here {}", key, a.at(key).dump(),
                                     here != nullptr ? here->dump() : "missing"));
  }
  return tensor::join(parts, "; ");
}

void expect_same_model(const Checkpoint& saved, const Checkpoint& own, const std::string& file) {
  check(saved.encoder_key == own.encoder_key, ErrorKind::data,
        "{}: it was made with other encoder weights ({}) than this run's ({})", file, saved.encoder,
        own.encoder);
  check(saved.vocabulary == own.vocabulary, ErrorKind::data,
        "{}: it was made with another vocabulary ({} tokens) than this run's ({}); with other captions or "
        "lists there is another one",
        file, saved.vocabulary.size(), own.vocabulary.size());
  check(
      saved.make_vocabulary() == own.make_vocabulary() && saved.language == own.language, ErrorKind::data,
      "{}: the text of its languages is read by other rules than this run's, or another language is its default",
      file);
  check(saved.decoder == own.decoder, ErrorKind::data, "{}: its model differs from this run's: {}", file,
        differences(to_json(saved.decoder), to_json(own.decoder)));
}

void expect_same_settings(TrainOptions saved, const TrainOptions& own, const std::string& file) {
  // More epochs or steps may be asked for.
  saved.epochs = own.epochs;
  saved.max_steps = own.max_steps;
  // These change nothing of what is trained.
  saved.patience = own.patience;
  saved.validate_every = own.validate_every;
  saved.checkpoint_every = own.checkpoint_every;
  check(saved == own, ErrorKind::data,
        "{}: its settings differ from this run's: {}; leave out the changed ones or start a new run", file,
        differences(to_json(saved), to_json(own)));
}

void expect_same_data(const Json& saved, const Dataset& own, const std::string& file) {
  check(saved.at("photos") == own.photos.size() && saved.at("captions") == own.caption_count(),
        ErrorKind::data, "{}: it was trained on {} photos with {} captions, this run has {} with {}", file,
        saved.at("photos").dump(), saved.at("captions").dump(), own.photos.size(), own.caption_count());
  // Runs of earlier versions do not have it.
  check(saved.find("data") == nullptr || saved.at("data") == own.fingerprint(), ErrorKind::data,
        "{}: it was trained on other photos or captions than this run's", file);
}

// Name, weight, photos and captions of each set, as a checkpoint has them; null where there is only one.
Json sets_of(const Dataset& data) {
  Json sets;
  if (data.sets.empty()) return sets;
  const std::vector<Dataset> parts = parts_of(data);
  for (size_t s = 0; s < parts.size(); ++s) {
    Json set = Json::object({{"name", data.sets[s].name},
                             {"weight", data.sets[s].weight},
                             {"photos", parts[s].photos.size()},
                             {"captions", parts[s].caption_count()}});
    if (const std::string& language = data.sets[s].language.code; !language.empty())
      set["language"] = language;
    sets.push_back(std::move(set));
  }
  return sets;
}

// "one set", "flickr8k (weight 1.0, 6091 photos with 30455 captions), coco_extra (...)"
std::string in_words(const Json& sets) {
  if (sets.is_null()) return "one set";
  std::vector<std::string> all;
  for (const Json& set : sets.items())
    all.push_back(tensor::format(
        "{} (weight {}, {} photos with {} captions{})", printable(set.at("name").as_text()),
        set.at("weight").dump(), set.at("photos").dump(), set.at("captions").dump(),
        set.find("language") != nullptr ? " in " + printable(set.at("language").as_text()) : ""));
  return tensor::join(all, ", ");
}

void expect_same_sets(const Json& saved, const Dataset& own, const std::string& file) {
  const Json* found = saved.find("sets");
  const Json before = found != nullptr ? *found : Json(), now = sets_of(own);
  check(before == now, ErrorKind::data, "{}: it was trained on {}, this run on {}", file, in_words(before),
        in_words(now));
}

// Of one set; several have theirs in sets_of().
void expect_same_language(const Json& saved, const Dataset& own, const std::string& file) {
  const Json* found = saved.find("language");
  const Json before = found != nullptr ? *found : Json(""), now(own.language.code);
  check(before == now, ErrorKind::data, "{}: it was trained on captions in {}, this run on captions in {}",
        file, before.dump(), now.dump());
}

void restore(RunState& state, const Checkpoint& saved, const Json& json) {
  const nn::LoadOptions finite{.finite = [](const std::string&) { return true; }};
  state.decoder->load_state_dict(saved.weights, finite);
  if (state.encoder != nullptr) state.encoder->encoder().load_state_dict(saved.encoder_weights, finite);
  const auto part = [&](const char* name) { return get(json, name, saved.training_tensors); };
  state.optimizer->load_state_dict(part("optimizer"));
  state.scheduler->load_state_dict(part("scheduler"));
  if (state.average) state.average->load_state_dict(part("average"));
  if (state.scaler.is_enabled()) state.scaler.load_state_dict(part("scaler"));
  state.epoch = json.at("epoch").as_int64();
  state.batch = json.at("batch").as_int64();
  state.step = json.at("step").as_int64();
  state.worse = json.at("worse").as_int64();
  state.best = json.at("best").as_double();
  const Json* validated = json.find("validated");
  state.validated = validated != nullptr ? validated->as_int64() : state.step;  // earlier versions: not said
  const std::vector<Json>& generator = json.at("generator").items();
  state.generator.set_state(generator[0].as_uint64(), generator[1].as_uint64());
}

// Before the optimiser is made, which knows their parameters.
std::unique_ptr<Decoder> decoder_on(const Device& device, std::unique_ptr<Decoder> decoder) {
  decoder->to(device);
  return decoder;
}

TrainedEncoder* encoder_on(const Device& device, TrainedEncoder* encoder) {
  if (encoder != nullptr) encoder->encoder().to(device);
  return encoder;
}

}  // namespace

RunState::RunState(const Checkpoint& model, const TrainOptions& options, int64_t total_steps,
                   TrainedEncoder* trained_encoder, const Device& device)
    : generator(options.seed),
      decoder(decoder_on(device, make_decoder(model.decoder, generator))),
      encoder(encoder_on(device, trained_encoder)),
      optimizer(make_optimizer(options, *decoder, encoder)),
      scheduler(make_scheduler(options, *optimizer, total_steps)),
      scaler(scaler_options(options)) {
  if (!model.weights.empty()) decoder->load_state_dict(model.weights);
  if (options.average_decay > 0)
    average = std::make_unique<optim::ParameterAverage>(
        all_parameters(*optimizer), optim::AverageOptions{.decay = options.average_decay, .warm_up = true});
}

Checkpoint snapshot(const RunState& state, const RunSources& sources) {
  Checkpoint checkpoint = sources.model;
  checkpoint.weights = state.decoder->state_dict();
  if (state.encoder != nullptr) checkpoint.encoder_weights = state.encoder->encoder().state_dict();
  Json json;
  json["options"] = Json::parse(to_json(sources.options), "options");
  json["photos"] = sources.training.photos.size();
  json["captions"] = sources.training.caption_count();
  json["data"] = sources.training.fingerprint();
  if (!sources.training.sets.empty()) json["sets"] = sets_of(sources.training);
  if (const std::string& language = sources.training.language.code; !language.empty())
    json["language"] = language;
  json["epoch"] = state.epoch;
  json["batch"] = state.batch;
  json["step"] = state.step;
  json["worse"] = state.worse;
  json["validated"] = state.validated;
  json["best"] = state.best;
  const auto [seed, offset] = state.generator.state();
  json["generator"] = Json::array({seed, offset});
  const auto put_part = [&](const char* name, const optim::State& part) {
    put(json, name, part, checkpoint.training_tensors);
  };
  put_part("optimizer", state.optimizer->state_dict());
  put_part("scheduler", state.scheduler->state_dict());
  if (state.average) put_part("average", state.average->state_dict());
  if (state.scaler.is_enabled()) put_part("scaler", state.scaler.state_dict());
  checkpoint.training = json.dump();
  return checkpoint;
}

void resume(RunState& state, const RunSources& sources, const std::filesystem::path& file) {
  const Checkpoint saved = load_checkpoint(file);
  const std::string name = file.string();
  expect_same_model(saved, sources.model, name);
  const Json json = training_of(saved, state, name);
  tensor::about_file(name, [&] {
    expect_same_settings(train_options_from_json(json.at("options").dump()), sources.options, name);
    expect_same_sets(json, sources.training, name);
    expect_same_language(json, sources.training, name);
    expect_same_data(json, sources.training, name);
    restore(state, saved, json);
  });
}

}  // namespace imgcap
