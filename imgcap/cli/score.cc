#include <cstdio>
#include <memory>

#include "imgcap/cli/cli.h"
#include "imgcap/data/utf8.h"
#include "imgcap/metrics/scores.h"

namespace imgcap::cli {
namespace {

struct Options {
  std::vector<std::string> references;
  std::string candidates, list, protocol = "standard", tokenizer;
  bool json = false;
};

CaptionFile read(const std::string& file) {
  CaptionFile captions = read_captions(file);
  if (captions.report.skipped > 0) std::fprintf(stderr, "%s\n", printable(captions.report.summary()).c_str());
  return captions;
}

std::vector<std::string> images_of(const std::vector<Caption>& captions) {
  std::vector<std::string> names;
  for (const ImageCaptions& group : group_by_image(captions)) names.push_back(group.image);
  return names;
}

void run(const Options& o) {
  ScoreOptions options;
  options.protocol = protocol_of(o.protocol);
  if (!o.tokenizer.empty()) options.tokenizer = score_tokenizer_of(o.tokenizer);
  options.split = std::filesystem::path(o.list.empty() ? o.references.front() : o.list).filename().string();
  CaptionFile candidates = read(o.candidates);
  // A photo is called as the first file of references calls it.
  std::vector<Caption> references;
  PhotoNames photos;
  for (const std::string& file : o.references) {
    CaptionFile part = read(file);
    rename_images_by_id(candidates, part);
    rename_images(part.captions, photos, file);
    references.insert(references.end(), part.captions.begin(), part.captions.end());
    photos = PhotoNames(images_of(references));
  }
  rename_images(candidates.captions, photos, o.candidates);
  std::vector<std::string> names;
  if (!o.list.empty()) names = read_image_list(o.list).names;
  NamesOfFile listed(photos, o.list);
  for (std::string& name : names)
    if (const auto photo = listed.find(name)) name = photos.keys()[static_cast<size_t>(*photo)];
  const std::vector<std::string>* images = o.list.empty() ? nullptr : &names;
  const Scores scores =
      score_captions(candidates_of(candidates.captions, images), references_of(references, images), options);
  const ScoreRow row{std::filesystem::path(o.candidates).filename().string(), {}, {}, scores};
  o.json ? print_line(to_json(scores)) : print(score_table({&row, 1}));
}

}  // namespace

void add_score(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "score", "Score captions of a file against references");
  const auto o = std::make_shared<Options>();
  verb.option("--references", o->references, "Caption files: the references").required();
  verb.option("--candidates", o->candidates, "A caption file with one caption a photo").required();
  verb.option("--list", o->list, "The photos to score, a name a line (default: all)");
  verb.option("--protocol", o->protocol, "standard or original").one_of({"standard", "original"});
  verb.option("--tokenizer", o->tokenizer, "ptb or none (default: ptb; with the original protocol none)")
      .one_of({"ptb", "none"});
  verb.flag("--json", o->json, "JSON alone on stdout");
  verb.on_run([o] { run(*o); });
}

}  // namespace imgcap::cli
