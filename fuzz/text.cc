// Captions as people write them, through all tokenisers and what they stand on.
#include "fuzz/fuzz.h"
#include "imgcap/data/text_file.h"
#include "imgcap/data/text_rules.h"
#include "imgcap/data/tokenizer.h"
#include "imgcap/data/utf8.h"
#include "imgcap/metrics/ptb_tokenizer.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  fuzz::expect_data_errors([&] { imgcap::check_text(text, "input"); });
  // the second half as the lines that follow the first
  const size_t half = size / 2;
  for (const auto& tokens : {imgcap::tokenize_spacy(text), imgcap::tokenize_ptb(text),
                             imgcap::tokenize_ptb(text.substr(0, half), text.substr(half)),
                             imgcap::tokenize(text, imgcap::default_rules("de")),
                             imgcap::tokenize(text, imgcap::default_rules("ar"))})
    for (const std::string& token : tokens)
      fuzz::require(!token.empty() && imgcap::find_invalid_utf8(token) == imgcap::kNoPosition);
  const std::u32string codes = imgcap::decode_utf8(text);
  fuzz::require(imgcap::decode_utf8(imgcap::encode_utf8(codes)) == codes);
  imgcap::lower_case_utf8(codes);
  return 0;
}
