#include <filesystem>
#include <memory>
#include <optional>

#include "imgcap/cli/behaviour_options.h"
#include "imgcap/cli/score_files.h"
#include "imgcap/cli/score_intervals.h"
#include "imgcap/cli/set_files.h"
#include "imgcap/cli/settings.h"
#include "imgcap/cli/text_options.h"
#include "imgcap/cli/training_captions.h"
#include "imgcap/data/captions_write.h"
#include "tensor/error.h"
#include "tensor/io/atomic_file.h"

namespace imgcap::cli {
namespace {

using tensor::io::Json;

struct Options {
  std::vector<std::string> references;
  std::string candidates, per_image;
  std::vector<std::string> compare;
  TrainingCaptions training;
  Protocol protocol = Protocol::standard;
  ScoreWords words;
  PhotoChoice photos;
  int64_t samples = ResampleOptions().samples;
  bool interval = false, json = false;
};

// As CSV where the file is called so, else a line of JSON for each.
std::string text_of(const std::vector<ImageScore>& scores, const std::string& file) {
  const bool csv = std::filesystem::path(file).extension() == ".csv";
  std::string text = csv ? "image,caption," + tensor::join(kScoreNames, ",") + "\n" : "";
  for (const ImageScore& score : scores) {
    if (csv)
      text += tensor::format("{},{},{},{},{},{},{},{}\n", csv_field(score.image), csv_field(score.caption),
                             score.bleu[0], score.bleu[1], score.bleu[2], score.bleu[3], score.rouge_l,
                             score.cider);
    else
      text += to_json(score).dump() + "\n";
  }
  return text;
}

std::string file_name(const std::string& path) { return std::filesystem::path(path).filename().string(); }

ScoreOptions score_options(const Options& o) {
  ScoreOptions options;
  options.protocol = o.protocol;
  options.tokenizer = o.words.tokenizer;
  options.normalisation = o.words.normalisation;
  options.split = o.photos.given() ? o.photos.label() : file_name(o.references.front());
  return options;
}

Diversity diversity_of(const Candidates& candidates, const Scores& scores,
                       const std::optional<std::vector<std::string>>& training) {
  return diversity(candidates, scores.tokenizer, training ? &*training : nullptr, scores.normalisation);
}

void compare(const Options& o, const ResampleOptions& resampling) {
  const std::string &a = o.compare[0], &b = o.compare[1];
  const ScoreFiles files = read_score_files(o.references, o.compare, o.photos);
  expect_same_images(files, a, b);
  const ScoreOptions options = score_options(o);
  std::vector<ImageScore> images_a, images_b;
  Compared compared{a,
                    b,
                    score_captions(files.candidates[0], files.references, options, images_a),
                    score_captions(files.candidates[1], files.references, options, images_b),
                    {},
                    {},
                    {}};
  const auto training = o.training.texts();
  compared.diversity_a = diversity_of(files.candidates[0], compared.a, training);
  compared.diversity_b = diversity_of(files.candidates[1], compared.b, training);
  compared.comparison = compare_scores(images_a, images_b, resampling);
  o.json ? print_line(comparison_json(compared, resampling)) : print(comparison_text(compared, resampling));
}

void score(const Options& o, const ResampleOptions& resampling) {
  if (!o.per_image.empty()) expect_writable(o.per_image);
  const ScoreFiles files = read_score_files(o.references, {o.candidates}, o.photos);
  const auto training = o.training.texts();
  const Candidates& mine = files.candidates[0];
  const ScoreOptions options = score_options(o);
  std::vector<ImageScore> each;
  const bool of_images = o.interval || !o.per_image.empty();
  const Scores scores = of_images ? score_captions(mine, files.references, options, each)
                                  : score_captions(mine, files.references, options);
  if (!o.per_image.empty()) tensor::io::write_file_atomically(o.per_image, text_of(each, o.per_image));
  const Diversity diversity = diversity_of(mine, scores, training);
  Json json = to_json(scores);
  add_diversity(json, diversity);
  const ScoreRow row{file_name(o.candidates), {}, {}, scores};
  std::string text = score_table({&row, 1}) + describe(diversity) + "\n";
  if (o.interval) {
    const ScoreIntervals intervals = score_intervals(each, resampling);
    add_intervals(json, intervals, resampling);
    text += intervals_text(intervals, resampling);
  }
  o.json ? print_line(json) : print(text);
}

void run(const Options& o, uint64_t seed, bool samples_given) {
  expect_no_sets("score", {"--references", o.references});
  expect_no_sets("score", {"--list", o.photos.lists});
  tensor::check(o.candidates.empty() == (o.compare.size() == 2), tensor::ErrorKind::argument,
                "score: give --candidates and one file, or --compare and two");
  tensor::check(!samples_given || o.interval || !o.compare.empty(), tensor::ErrorKind::argument,
                "score: --samples goes with --interval or --compare");
  const ResampleOptions resampling{o.samples, seed};
  o.compare.empty() ? score(o, resampling) : compare(o, resampling);
}

}  // namespace

void add_score(Verb& app, Program& program) {
  Verb verb = add_verb(
      app, program, "score",
      "Score captions of a file against references (distinct-n: distinct n-grams per n-gram of all captions)");
  const auto o = std::make_shared<Options>();
  verb.option("--references", o->references, "Caption files: the references").required();
  const Option candidates =
      verb.option("--candidates", o->candidates, "A caption file with one caption per photo");
  Option compare = verb.option("--compare", o->compare,
                               "Two such files A and B: how sure the scores are, and their difference");
  compare.excludes(candidates);
  o->photos.add_options(verb, "The photos to score (default: all)");
  verb.option("--per-image", o->per_image,
              "A file for each photo's scores: CSV where it is called .csv, else JSON lines");
  verb.at("--per-image").excludes(compare);
  verb.flag("--interval", o->interval, "95 % intervals by the bootstrap, too (--compare has them)");
  verb.option("--samples", o->samples, "Bootstrap samples, and shuffles of the test")
      .range(1, static_cast<int>(kMaxSamples));
  o->training.add_options(verb);
  add_score_behaviours(verb, o->protocol);
  add_score_words(verb, o->words, DefaultWords::of_protocol);
  verb.flag("--json", o->json, "JSON alone on stdout");
  verb.on_run([o, verb, &program] { run(*o, program.seed, verb.given("--samples")); });
}

}  // namespace imgcap::cli
