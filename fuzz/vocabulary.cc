#include "imgcap/data/vocabulary.h"

#include "fuzz/fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fuzz::expect_data_errors([&] {
    const auto words = imgcap::Vocabulary::from_jsonl(fuzz::text_of(data, size), "input");
    fuzz::require(imgcap::Vocabulary::from_jsonl(words.to_jsonl(), "copy") == words);
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < words.size(); ++i) ids.push_back(static_cast<int32_t>(i));
    const std::string text = words.decode_tokens(ids) + words.decode(ids);
    for (const imgcap::Language& language : words.languages())
      for (const int32_t id : words.encode(text, language.code)) fuzz::require(id >= 0 && id < words.size());
  });
  return 0;
}
