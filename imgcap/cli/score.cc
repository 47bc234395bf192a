#include <cstdio>
#include <memory>
#include <optional>

#include "imgcap/cli/behaviour_options.h"
#include "imgcap/cli/data_options.h"
#include "imgcap/cli/settings.h"
#include "imgcap/data/captions_write.h"
#include "imgcap/data/utf8.h"
#include "imgcap/metrics/scores.h"
#include "tensor/io/atomic_file.h"

namespace imgcap::cli {
namespace {

struct Options {
  std::vector<std::string> references;
  std::string candidates, per_image;
  Protocol protocol = Protocol::standard;
  std::optional<ScoreTokenizer> tokenizer;
  PhotoChoice photos;
  bool json = false;
};

CaptionFile read(const std::string& file, EmptyCaptions empty) {
  CaptionFile captions = read_captions(file, empty);
  if (captions.report.skipped > 0) std::fprintf(stderr, "%s\n", printable(captions.report.summary()).c_str());
  return captions;
}

std::vector<std::string> images_of(const std::vector<Caption>& captions) {
  std::vector<std::string> names;
  for (const ImageCaptions& group : group_by_image(captions)) names.push_back(group.image);
  return names;
}

// Photos that have an error in place of a caption are not scored, and that is told.
void leave_out(const std::vector<std::string>& failed, const Candidates& candidates, const PhotoNames& photos,
               References& references) {
  if (failed.empty()) return;
  std::fprintf(stderr, "%zu photos have an error in place of a caption and are left out (first: %s)\n",
               failed.size(), printable(failed.front()).c_str());
  for (const std::string& name : failed)
    if (const auto photo = photos.find(name)) {
      const std::string& key = photos.keys()[static_cast<size_t>(*photo)];
      if (!candidates.contains(key)) references.erase(key);
    }
}

// As CSV where the file is called so, else a line of JSON for each.
std::string text_of(const std::vector<ImageScore>& scores, const std::string& file) {
  const bool csv = std::filesystem::path(file).extension() == ".csv";
  std::string text = csv ? "image,caption,BLEU-1,BLEU-2,BLEU-3,BLEU-4,ROUGE-L,CIDEr\n" : "";
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

void run(const Options& o) {
  ScoreOptions options;
  options.protocol = o.protocol;
  options.tokenizer = o.tokenizer;
  options.split =
      o.photos.given() ? o.photos.label() : std::filesystem::path(o.references.front()).filename().string();
  if (!o.per_image.empty()) expect_writable(o.per_image);
  CaptionFile candidates = read(o.candidates, EmptyCaptions::keep);
  // A photo is called as the first file of references calls it.
  std::vector<Caption> references;
  PhotoNames photos;
  PhotosBySplit splits;
  for (const std::string& file : o.references) {
    CaptionFile part = read(file, EmptyCaptions::skip);
    add_splits(part, file, splits);
    rename_images_by_id(candidates, part);
    rename_images(part.captions, photos, file);
    references.insert(references.end(), part.captions.begin(), part.captions.end());
    photos = PhotoNames(images_of(references));
  }
  rename_images(candidates.captions, photos, o.candidates);
  std::vector<std::string> names;
  if (o.photos.given()) names = o.photos.names(splits);
  NamesOfFile listed(photos, o.photos.label());
  for (std::string& name : names)
    if (const auto photo = listed.find(name)) name = photos.keys()[static_cast<size_t>(*photo)];
  const std::vector<std::string>* images = o.photos.given() ? &names : nullptr;
  const Candidates mine = candidates_of(candidates.captions, images);
  References theirs = references_of(references, images);
  leave_out(candidates.failed, mine, photos, theirs);
  std::vector<ImageScore> each;
  const Scores scores = o.per_image.empty() ? score_captions(mine, theirs, options)
                                            : score_captions(mine, theirs, options, each);
  if (!o.per_image.empty()) tensor::io::write_file_atomically(o.per_image, text_of(each, o.per_image));
  const ScoreRow row{std::filesystem::path(o.candidates).filename().string(), {}, {}, scores};
  o.json ? print_line(to_json(scores)) : print(score_table({&row, 1}));
}

}  // namespace

void add_score(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "score", "Score captions of a file against references");
  const auto o = std::make_shared<Options>();
  verb.option("--references", o->references, "Caption files: the references").required();
  verb.option("--candidates", o->candidates, "A caption file with one caption per photo").required();
  o->photos.add_options(verb, "The photos to score (default: all)");
  verb.option("--per-image", o->per_image,
              "A file for each photo's scores: CSV where it is called .csv, else JSON lines");
  add_score_behaviours(verb, o->protocol);
  verb.option(
          "--tokenizer", "",
          [o](const std::string& name) { o->tokenizer = value_named<ScoreTokenizer>(name); },
          tensor::format("ptb or none (default: ptb; with the {} protocol none)",
                         to_string(Protocol::torcheval)))
      .one_of(all_names<ScoreTokenizer>());
  verb.flag("--json", o->json, "JSON alone on stdout");
  verb.on_run([o] { run(*o); });
}

}  // namespace imgcap::cli
