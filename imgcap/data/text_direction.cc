#include "imgcap/data/text_direction.h"

#include <utf8proc.h>

#include <string_view>

#include "imgcap/data/utf8.h"

namespace imgcap {

bool reads_right_to_left(const std::vector<std::string>& texts) {
  for (std::string_view text : texts)
    while (!text.empty()) {
      const auto* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(take_code_point(text)));
      if (property->bidi_class == UTF8PROC_BIDI_CLASS_L) return false;
      if (property->bidi_class == UTF8PROC_BIDI_CLASS_R || property->bidi_class == UTF8PROC_BIDI_CLASS_AL)
        return true;
    }
  return false;
}

}  // namespace imgcap
