#include "imgcap/cli/photos.h"

#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>

#include "imgcap/cli/data_options.h"
#include "imgcap/data/archive.h"
#include "imgcap/data/utf8.h"
#include "tensor/error.h"

namespace imgcap::cli {
namespace {

void say(const std::string& text) { std::fprintf(stderr, "imgcap: %s\n", printable(text).c_str()); }

void report(const std::string& name, const std::string& reason, bool json, Program& program) {
  say(reason.find(name) == std::string::npos ? name + ": " + reason : reason);
  if (json) print(fmt::format("{{\"image\":{},\"error\":{}}}\n", quoted(name), quoted(reason)));
  program.exit_code = 2;
}

// What `read` gives, or nothing when the photo (or its folder) is at fault.
template <class Read>
auto attempt(const std::string& name, bool json, Program& program, const Read& read)
    -> std::optional<decltype(read())> {
  std::string reason;
  try {
    return read();
  } catch (const tensor::Error& error) {
    if (error.kind() != tensor::ErrorKind::io && error.kind() != tensor::ErrorKind::data) throw;
    reason = error.what();
  }
  report(name, reason, json, program);
  return std::nullopt;
}

}  // namespace

void for_each_photo(const std::vector<std::string>& paths, bool json, Program& program,
                    const std::function<void(const Photo&)>& use) {
  const StopSignals signals;
  for (const std::string& path : paths) {
    std::filesystem::path place(path);
    if (!place.has_filename()) place = place.parent_path();  // "folder/"
    const auto source = attempt(place.filename().string(), json, program,
                                [&] { return ImageSource({std::filesystem::path(path)}); });
    if (source) report_passed_over(*source);
    for (int64_t i = 0; source && i < source->size(); ++i) {
      if (stop_flag()) throw Interrupted{};
      Photo photo{source->name(i), {}, std::chrono::steady_clock::now()};
      auto image = attempt(photo.name, json, program, [&] { return source->read_image(i); });
      if (!image) continue;
      if (!image->warning.empty()) say(photo.name + ": warning: " + image->warning);
      photo.image = std::move(*image);
      use(photo);
    }
  }
}

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace imgcap::cli
