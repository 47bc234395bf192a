// What comes in a form: a line with a Content-Type, and a body behind it.
#include "imgcap/serve/form.h"
#include "fuzz/fuzz.h"

namespace {

// The parts lie in the body one behind the other, and none has the boundary in it.
void check_parts(std::string_view body, const std::string& boundary) {
  const char* end = body.data();
  for (const imgcap::serve::FormPart& part : imgcap::serve::parse_multipart(body, boundary)) {
    fuzz::require(part.bytes.data() >= end);
    end = part.bytes.data() + part.bytes.size();
    fuzz::require(end <= body.data() + body.size());
    fuzz::require(part.bytes.find("\r\n--" + boundary) == std::string_view::npos);
    fuzz::require(part.type.find("\r\n") == std::string::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all = fuzz::text_of(data, size);
  const size_t line = std::min(all.find('\n'), all.size());
  const std::string_view body = all.substr(std::min(line + 1, all.size()));
  std::string boundary(all.substr(0, line));
  fuzz::expect_data_errors([&] {
    const imgcap::serve::MediaType type = imgcap::serve::parse_media_type(all.substr(0, line));
    fuzz::require(type.type.find('/') != std::string::npos);
    boundary = type.parameter("boundary").value_or(boundary);
  });
  fuzz::expect_data_errors([&] { check_parts(body, boundary); });
  return 0;
}
