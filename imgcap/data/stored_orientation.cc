// The orientation that metadata blocks give, for the formats that keep EXIF and XMP as plain blocks.
#include <string_view>

#include "imgcap/data/image_codecs.h"

namespace imgcap::codecs {

int stored_orientation(Bytes exif, Bytes xmp) {
  if (exif.size() >= 6 && std::string_view(reinterpret_cast<const char*>(exif.data()), 4) == "Exif")
    exif = exif.subspan(6);
  const int orientation = exif_orientation(exif);
  if (orientation != 1) return orientation;
  const std::string_view text(reinterpret_cast<const char*>(xmp.data()), xmp.size());
  constexpr std::string_view key = "tiff:Orientation";
  for (size_t at = text.find(key); at != std::string_view::npos; at = text.find(key, at + 1)) {
    std::string_view rest = text.substr(at + key.size());
    if (rest.starts_with("=\""))
      rest.remove_prefix(2);
    else if (rest.starts_with(">"))
      rest.remove_prefix(1);
    else
      continue;
    if (!rest.empty() && rest[0] >= '0' && rest[0] <= '9')
      return rest[0] >= '1' && rest[0] <= '8' ? rest[0] - '0' : 1;
  }
  return 1;
}

}  // namespace imgcap::codecs
