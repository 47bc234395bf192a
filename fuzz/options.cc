// The options of a request in JSON.
#include "fuzz/fuzz.h"
#include "imgcap/serve/caption_wish.h"
#include "imgcap/settings/json.h"

namespace {

using imgcap::serve::CaptionWish;
using tensor::io::Json;

Json written(const CaptionWish& wish) {
  Json json = imgcap::settings_to_json<imgcap::serve::WishNumbers>(wish);
  json["model"] = wish.model;
  json["language"] = wish.language;
  json["prefix"] = wish.prefix;
  json["suppress"] = wish.suppress;
  return json;
}

}  // namespace

// What is taken is within its bounds, and is taken again as the same.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::expect_request_errors([&] {
    const CaptionWish wish = imgcap::serve::wish_of(Json::parse(fuzz::text_of(data, size), "options"));
    imgcap::check_bounds<imgcap::serve::WishNumbers>(wish);
    const Json once = written(wish);
    fuzz::require(written(imgcap::serve::wish_of(once)) == once);
  });
  return 0;
}
