#include "imgcap/decoding/follow.h"

#include "imgcap/data/vocabulary.h"
#include "imgcap/decoding/search_steps.h"
#include "tensor/error.h"
#include "tensor/fetched.h"

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
  // What is fed is known beforehand, so nothing is read before the end: of each step the likeliest tokens, their
  // log-probabilities, and that of the word that comes.
  std::vector<int64_t> fed = words;
  fed.insert(fed.begin(), range.start);
  const int64_t steps = std::ssize(fed),
                k = std::min(most + std::ssize(forbidden), decoder.config().vocabulary);
  const Tensor tokens = Tensor::from(fed, {steps}).to(search.device());
  Tensor all = Tensor::empty({steps, 2 * k + 1}, tensor::DType::f64, search.device());
  for (int64_t i = 0; i < steps; ++i) {
    const Tensor log_probabilities = search.next({}, tokens.slice(0, i, i + 1));
    const auto top = next.likeliest(log_probabilities, k);
    const int64_t word = words.empty() ? kEos : words[static_cast<size_t>(std::min(i, steps - 2))];
    const Tensor row = all.slice(0, i, i + 1);
    row.slice(1, 0, k).copy_(top.values);
    row.slice(1, k, 2 * k).copy_(top.tokens);
    row.slice(1, 2 * k, 2 * k + 1).copy_(log_probabilities.slice(1, word, word + 1));
  }
  all = tensor::Fetched(all).take();
  next.take_likeliest(all.slice(1, 0, k).contiguous(), all.slice(1, k, 2 * k).to(tensor::DType::i64), most,
                      forbidden);
  FollowedCaption followed;
  int64_t node = internal::kNoNode;
  double sum = 0;
  for (int64_t i = 0; i < steps; ++i) {
    std::vector<TokenChance>& chances = followed.chances.emplace_back();
    for (const internal::Likely& each : next[i]) chances.push_back({each.token, each.log_probability});
    if (i == steps - 1) break;
    const double of_word = all.select(0, i).select(0, 2 * k).item();
    internal::expect_number(of_word);
    sum += of_word;
    node = search.add(node, {words[static_cast<size_t>(i)], of_word}, 0);
  }
  followed.caption = search.hypothesis(node, sum);
  return followed;
}

}  // namespace imgcap
