// Photos and options as a request brings them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "imgcap/serve/caption_wish.h"
#include "imgcap/serve/http.h"

namespace imgcap::serve {

struct UploadedPhoto {
  std::string name;        // the client's, or "photo"
  std::string_view bytes;  // of the request's body
};

struct Upload {
  std::vector<UploadedPhoto> photos;  // at least one
  CaptionWish wish;
};

// The same with the options as they came, for calls that have others.
struct UploadForm {
  std::vector<UploadedPhoto> photos;
  tensor::io::Json options = tensor::io::Json::object();
};

// Whether a Content-Type may stand before photos: multipart/form-data, application/octet-stream, image/*.
bool takes_photos(std::string_view content_type);

// A body of multipart/form-data has photos (parts with a file name, or called "photo") and at most one part "options",
// in JSON; any other body is one photo, whose name the query may have as "name". Options are in the query or in that
// part. Errors: data (malformed, no photo), argument (options out of bounds, more photos than `most`).
Upload upload_of(const HttpRequest& request, int64_t most);
UploadForm upload_form_of(const HttpRequest& request, int64_t most);

}  // namespace imgcap::serve
