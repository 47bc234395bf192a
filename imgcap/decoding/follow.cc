#include "imgcap/decoding/follow.h"

#include "imgcap/decoding/search_steps.h"
#include "tensor/error.h"

namespace imgcap {

using tensor::check;
using tensor::ErrorKind;

FollowedCaption follow(Decoder& decoder, const Tensor& features, const std::vector<int64_t>& words,
                       const WordRange& range, int64_t most) {
  DecodingOptions options;
  options.max_words = std::max<int64_t>(std::ssize(words), 1);
  options.attention = true;
  options.range = range;
  internal::expect_decodable(decoder, features, options, "follow");
  check(features.size(0) == 1, ErrorKind::shape, "follow: features {}; those of one image are needed",
        tensor::describe(features));
  for (const int64_t word : words)
    check(word >= kSpecialTokens && word < decoder.config().vocabulary && range.has(word),
          ErrorKind::argument, "follow: token {} is no word that a caption may have here", word);
  internal::Search search(decoder, features, options, 1, "follow");
  internal::NextTokens next;
  const std::vector<int64_t> forbidden = internal::forbidden(options);
  FollowedCaption followed;
  int64_t node = internal::kNoNode;
  double sum = 0;
  for (size_t i = 0; i <= words.size(); ++i) {
    const Tensor log_probabilities = search.next({0}, {node});
    next.take_likeliest(log_probabilities, most, forbidden);
    std::vector<TokenChance>& chances = followed.chances.emplace_back();
    for (const internal::Likely& each : next[0]) chances.push_back({each.token, each.log_probability});
    if (i == words.size()) break;
    const double of_word = log_probabilities.select(0, 0).select(0, words[i]).item();
    internal::expect_number(of_word);
    sum += of_word;
    node = search.add(node, {words[i], of_word}, 0);
  }
  followed.caption = search.hypothesis(node, sum);
  return followed;
}

}  // namespace imgcap
