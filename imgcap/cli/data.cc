// Data sets before any training: what is in them, and from one format into another.
#include <cstdio>
#include <memory>
#include <optional>

#include "imgcap/cli/data_check.h"
#include "imgcap/cli/data_options.h"
#include "imgcap/cli/set_files.h"
#include "imgcap/data/captions_write.h"
#include "imgcap/data/utf8.h"
#include "tensor/error.h"

namespace imgcap::cli {
namespace {

struct CheckOptions {
  std::vector<std::string> captions, images;
  int64_t expect_photos = 0, expect_captions = 0;
  bool names_only = false, json = false;
};

void run_check(const CheckOptions& o, Program& program) {
  tensor::check(!o.names_only || !o.images.empty(), tensor::ErrorKind::argument,
                "data check: --names-only is about the photos of --images");
  std::optional<ImageSource> photos;
  if (!o.images.empty()) photos.emplace(open_images(o.images));
  DataCheck result = check_captions(without_sets(o.captions), photos ? &*photos : nullptr);
  if (photos && !o.names_only) check_pictures(*photos, result);
  o.json ? print_line(to_json(result)) : print(text_of(result));
  const auto expect = [&](int64_t expected, int64_t found, const char* what) {
    if (expected == 0 || expected == found) return;
    std::fprintf(stderr, "imgcap: %lld %s were expected, and there are %lld\n",
                 static_cast<long long>(expected), what, static_cast<long long>(found));
    program.exit_code = 2;
  };
  expect(o.expect_photos, photos ? result.photos : result.captioned, "photos");
  expect(o.expect_captions, result.captions, "captions");
}

struct ConvertOptions {
  std::string in, out, format;
};

void run_convert(const ConvertOptions& o) {
  if (o.format != "folder") expect_writable(o.out);
  const CaptionFile file = read_captions(o.in);
  if (file.report.skipped > 0) std::fprintf(stderr, "%s\n", printable(file.report.summary()).c_str());
  for (const std::string& loss : write_captions(file, o.format, o.out))
    std::fprintf(stderr, "%s: the format %s does not hold %s\n", o.out.c_str(), o.format.c_str(),
                 loss.c_str());
  print(tensor::format("{}: {} captions, {} format, from {}\n", o.out, file.report.kept, o.format,
                       file.report.format));
}

}  // namespace

void add_data(Verb& app, Program& program) {
  Verb verb = app.verb("data", "Check photos and captions before training; convert caption files");
  verb.require_verb();

  const auto c = std::make_shared<CheckOptions>();
  Verb check = add_verb(verb, program, "check", "What is in caption files and photos, and what is missing");
  check
      .option("--captions", c->captions,
              "Caption files or folders: results.csv, CSV, Flickr8k.token.txt, COCO's and Karpathy's JSON, "
              "JSON lines, a .txt for each photo")
      .required();
  check.option("--images", c->images, "Folders or .tar archives of photos");
  check.flag("--names-only", c->names_only, "Read no picture: compare the names");
  check.option("--expect-photos", c->expect_photos, "Exit code 2 when there are not so many photos (0: any)")
      .not_negative();
  check.option("--expect-captions", c->expect_captions, "The same for captions").not_negative();
  check.flag("--json", c->json, "JSON alone on stdout");
  check.on_run([c, &program] { run_check(*c, program); });

  const auto o = std::make_shared<ConvertOptions>();
  Verb convert = add_verb(verb, program, "convert", "Write captions in another format");
  convert.option("in", o->in, "A caption file or folder").required();
  convert.option("out", o->out, "The file or folder to write").required();
  convert.option("--to", o->format, "The format").required().one_of(written_formats());
  convert.on_run([o] { run_convert(*o); });
}

}  // namespace imgcap::cli
