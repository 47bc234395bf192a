// A photo of a request, and what is said of it beside its captions.
#pragma once

#include "imgcap/data/image.h"
#include "imgcap/serve/upload.h"
#include "tensor/io/json.h"

namespace imgcap::serve {

// Errors: data (image.h).
Image read_photo(const UploadedPhoto& photo, const ImageLimits& limits);

// The same for a request that cannot go on without it. Errors: Unprocessable.
Image readable_photo(const UploadedPhoto& photo, const ImageLimits& limits);

// "name", "width" and "height" of the upright photo, "orientation" (Image), "format", "warning" where decoding has one, and, where it is
// wanted, "preview": a JPEG of at most 1024 pixels a side as a data URI, as browsers do not show every format.
tensor::io::Json photo_json(const UploadedPhoto& photo, const Image& image, bool preview);

}  // namespace imgcap::serve
