#include "imgcap/data/orientation.h"

#include "imgcap/data/image_codecs.h"

namespace imgcap::codecs {

int orientation_of(Bytes exif, std::string_view xmp) {
  if (text_of(exif).starts_with("Exif")) exif = exif.subspan(std::min<size_t>(6, exif.size()));
  if (const int orientation = exif_orientation(exif); orientation != 1) return orientation;
  constexpr std::string_view key = "tiff:Orientation=\"";
  const size_t at = xmp.find(key);
  if (at == std::string_view::npos || at + key.size() >= xmp.size()) return 1;
  const char digit = xmp[at + key.size()];
  return digit >= '1' && digit <= '8' ? digit - '0' : 1;
}

}  // namespace imgcap::codecs
