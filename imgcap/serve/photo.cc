#include "imgcap/serve/photo.h"

#include <span>

#include "imgcap/data/image_writer.h"
#include "imgcap/data/picture_format.h"
#include "imgcap/data/resize.h"
#include "imgcap/report/html.h"
#include "imgcap/serve/side_work.h"
#include "tensor/error.h"

namespace imgcap::serve {
namespace {

using tensor::io::Json;

constexpr int64_t kPreviewSide = 1024;
constexpr int kPreviewQuality = 85;

std::span<const uint8_t> bytes_of(const UploadedPhoto& photo) {
  return {reinterpret_cast<const uint8_t*>(photo.bytes.data()), photo.bytes.size()};
}

}  // namespace

Image read_photo(const UploadedPhoto& photo, const ImageLimits& limits) {
  return decode_image(bytes_of(photo), photo.name, limits);
}

Image readable_photo(const UploadedPhoto& photo, const ImageLimits& limits) {
  try {
    return read_photo(photo, limits);
  } catch (const tensor::Error& error) {
    throw Unprocessable{error.what()};
  }
}

Json photo_json(const UploadedPhoto& photo, const Image& image, bool preview) {
  Json json = Json::object({{"name", photo.name},
                            {"width", image.width},
                            {"height", image.height},
                            {"orientation", image.orientation},
                            {"format", name_of(picture_format(bytes_of(photo)))}});
  if (!image.warning.empty()) json["warning"] = image.warning;
  if (preview)
    json["preview"] = data_uri("image/jpeg", encode_jpeg(at_most(image, kPreviewSide), kPreviewQuality));
  return json;
}

}  // namespace imgcap::serve
