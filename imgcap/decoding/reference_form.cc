#include "imgcap/decoding/reference_form.h"

namespace imgcap {

std::string in_form(const std::string& text, const Vocabulary& vocabulary, TextForm form) {
  return form == TextForm::tokens ? vocabulary.decode_tokens(vocabulary.encode(text)) : text;
}

}  // namespace imgcap
