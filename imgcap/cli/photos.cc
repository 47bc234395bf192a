#include "imgcap/cli/photos.h"

#include <cstdio>

#include "imgcap/cli/data_options.h"
#include "imgcap/data/archive.h"
#include "imgcap/data/utf8.h"
#include "tensor/error.h"
#include "tensor/io/json.h"

namespace imgcap::cli {
namespace {

using tensor::io::Json;

void say(const std::string& text) { std::fprintf(stderr, "imgcap: %s\n", printable(text).c_str()); }

void report(const std::string& name, const std::string& reason, bool json, Program& program) {
  say(reason.find(name) == std::string::npos ? name + ": " + reason : reason);
  if (json) print_line(Json::object({{"image", name}, {"error", reason}}));
  program.exit_code = 2;
}

}  // namespace

void for_each_photo(const std::vector<std::string>& paths, bool json, Program& program,
                    const std::function<void(const Photo&)>& use) {
  const StopSignals signals;
  std::vector<ImageSource::Refused> refused;
  const ImageSource source({paths.begin(), paths.end()}, refused);
  report_passed_over(source);
  size_t told = 0;
  const auto tell_refused = [&](int64_t before) {
    for (; told < refused.size() && refused[told].before <= before; ++told)
      report(refused[told].path.string(), refused[told].reason, json, program);
  };
  for (int64_t i = 0; i < source.size(); ++i) {
    tell_refused(i);
    if (stop_flag()) throw Interrupted{};
    Photo photo{source.name(i), {}, std::chrono::steady_clock::now()};
    try {
      photo.image = source.read_image(i);
    } catch (const tensor::Error& error) {
      if (error.kind() != tensor::ErrorKind::io && error.kind() != tensor::ErrorKind::data) throw;
      report(photo.name, error.what(), json, program);
      continue;
    }
    if (!photo.image.warning.empty()) say(photo.name + ": warning: " + photo.image.warning);
    use(photo);
  }
  tell_refused(source.size());
}

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace imgcap::cli
