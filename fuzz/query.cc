// Queries as clients write them, and the options in them.
#include "fuzz/fuzz.h"
#include "imgcap/data/utf8.h"
#include "imgcap/serve/caption_wish.h"
#include "imgcap/serve/form.h"
#include "imgcap/settings/json.h"

namespace {

std::string in_percents(const std::string& text) {
  std::string out;
  for (const char c : text) out += tensor::format("%{:02X}", static_cast<unsigned char>(c));
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::expect_request_errors([&] {
    const auto query = imgcap::serve::parse_query(fuzz::text_of(data, size));
    std::string again;
    for (const auto& parameter : query) {
      fuzz::require(imgcap::find_invalid_utf8(parameter.first) == imgcap::kNoPosition);
      fuzz::require(imgcap::find_invalid_utf8(parameter.second) == imgcap::kNoPosition);
      again += in_percents(parameter.first) + "=" + in_percents(parameter.second) + "&";
    }
    fuzz::require(imgcap::serve::parse_query(again) == query);
    const imgcap::serve::CaptionWish wish = imgcap::serve::wish_of(query);
    imgcap::check_bounds<imgcap::serve::WishNumbers>(wish);
    for (const std::string& text : wish.suppress) fuzz::require(text.size() <= 1000);
  });
  return 0;
}
