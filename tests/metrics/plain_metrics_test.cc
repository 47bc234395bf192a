// BLEU, ROUGE-L and CIDEr against their definitions in plain loops over maps of words, on made-up sentences.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "imgcap/data/utf8.h"
#include "imgcap/metrics/bleu.h"
#include "imgcap/metrics/cider.h"
#include "imgcap/metrics/rouge.h"
#include "imgcap/metrics/words.h"
#include "tensor/random.h"

using namespace imgcap;

namespace {

using Words = std::vector<std::string>;
using Texts = std::vector<std::string>;

struct Case {
  Texts candidates;
  std::vector<Texts> references;
};

// Sentences of 0 to 9 words out of a few, so that n-grams of all orders are shared.
Case made_up(uint64_t seed, size_t images) {
  tensor::Generator generator(seed);
  const auto sentence = [&](uint64_t shortest) {
    std::string text;
    for (uint64_t left = shortest + generator.below(10 - shortest); left > 0; --left) {
      if (!text.empty()) text += ' ';
      text += std::string(1, static_cast<char>('a' + generator.below(4)));
    }
    return text;
  };
  Case made;
  for (size_t i = 0; i < images; ++i) {
    made.candidates.push_back(sentence(i % 5 == 0 ? 0 : 4));
    made.references.emplace_back();
    for (uint64_t left = 1 + generator.below(4); left > 0; --left)
      made.references.back().push_back(sentence(1));
  }
  return made;
}

Words words_of(const std::string& text) {
  Words words;
  std::string word;
  for (const char c : text + " ") {
    if (c != ' ') {
      word += c;
    } else if (!word.empty()) {
      words.push_back(word);
      word.clear();
    }
  }
  return words;
}

std::map<Words, int> ngrams(const Words& words, size_t n) {
  std::map<Words, int> counts;
  for (size_t i = 0; i + n <= words.size(); ++i)
    ++counts[Words(words.begin() + static_cast<std::ptrdiff_t>(i),
                   words.begin() + static_cast<std::ptrdiff_t>(i + n))];
  return counts;
}

int at(const std::map<Words, int>& counts, const Words& gram) {
  const auto found = counts.find(gram);
  return found == counts.end() ? 0 : found->second;
}

// Papineni et al. 2002.
BleuCounts plain_counts(const std::string& candidate, const Texts& references, bool shortest) {
  const Words words = words_of(candidate);
  BleuCounts counts;
  counts.candidate_length = std::ssize(words);
  for (size_t n = 1; n <= 4; ++n)
    for (const auto& [gram, count] : ngrams(words, n)) {
      int most = 0;
      for (const std::string& reference : references)
        most = std::max(most, at(ngrams(words_of(reference), n), gram));
      counts.guess[n - 1] += count;
      counts.correct[n - 1] += std::min(count, most);
    }
  std::vector<std::pair<int64_t, int64_t>> lengths;  // by what decides
  for (const std::string& reference : references) {
    const int64_t length = std::ssize(words_of(reference));
    lengths.emplace_back(shortest ? 0 : std::abs(length - std::ssize(words)), length);
  }
  counts.reference_length = std::min_element(lengths.begin(), lengths.end())->second;
  return counts;
}

void check_counts(const BleuCounts& got, const BleuCounts& want) {
  CHECK(got.candidate_length == want.candidate_length);
  CHECK(got.reference_length == want.reference_length);
  CHECK(got.guess == want.guess);
  CHECK(got.correct == want.correct);
}

double plain_rouge(const std::string& candidate, const Texts& references) {
  const auto split = [](const std::string& text) { return text.empty() ? Words{""} : words_of(text); };
  const Words a = split(candidate);
  double precision = 0, recall = 0;
  for (const std::string& reference : references) {
    const Words b = split(reference);
    const std::function<size_t(size_t, size_t)> common = [&](size_t i, size_t j) -> size_t {
      if (i == a.size() || j == b.size()) return 0;
      if (a[i] == b[j]) return 1 + common(i + 1, j + 1);
      return std::max(common(i + 1, j), common(i, j + 1));
    };
    const auto length = static_cast<double>(common(0, 0));
    precision = std::max(precision, length / static_cast<double>(a.size()));
    recall = std::max(recall, length / static_cast<double>(b.size()));
  }
  if (precision == 0 || recall == 0) return 0;
  return (1 + 1.44) * precision * recall / (recall + 1.44 * precision);
}

// The formula in cider.h.
double plain_cider(const std::string& candidate, const Texts& own, const std::vector<Texts>& references) {
  double score = 0;
  for (size_t n = 1; n <= 4; ++n) {
    std::map<Words, int> documents;
    for (const Texts& image : references) {
      std::set<Words> seen;
      for (const std::string& text : image)
        for (const auto& [gram, count] : ngrams(words_of(text), n)) seen.insert(gram);
      for (const Words& gram : seen) ++documents[gram];
    }
    const auto weighted = [&](const std::string& text) {
      std::map<Words, double> vector;
      for (const auto& [gram, count] : ngrams(words_of(text), n))
        vector[gram] = count * (std::log(static_cast<double>(references.size())) -
                                std::log(std::max(1.0, static_cast<double>(at(documents, gram)))));
      return vector;
    };
    const auto norm = [](const std::map<Words, double>& vector) {
      double squares = 0;
      for (const auto& [gram, value] : vector) squares += value * value;
      return std::sqrt(squares);
    };
    const auto h = weighted(candidate);
    double sum = 0;
    for (const std::string& reference : own) {
      const auto r = weighted(reference);
      double product = 0;
      for (const auto& [gram, value] : h)
        if (r.contains(gram)) product += std::min(value, r.at(gram)) * r.at(gram);
      if (norm(h) != 0 && norm(r) != 0) product /= norm(h) * norm(r);
      const auto length = [](const std::string& text) {
        return std::max(0.0, static_cast<double>(words_of(text).size()) - 1);
      };
      const double delta = length(candidate) - length(reference);
      sum += product * std::exp(-delta * delta / 72);
    }
    score += 10 * sum / static_cast<double>(own.size()) / 4;
  }
  return score;
}

}  // namespace

TEST_CASE("bleu's counts are those of plain maps, an image's and all together") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    const Case made = made_up(seed, 12);
    const BleuResult result = bleu(made.candidates, made.references);
    BleuCounts total, total_shortest;
    for (size_t i = 0; i < 12; ++i) {
      CAPTURE(i);
      const BleuCounts own = plain_counts(made.candidates[i], made.references[i], false);
      const BleuResult one =
          bleu(std::span(made.candidates).subspan(i, 1), std::span(made.references).subspan(i, 1));
      check_counts(one.counts, own);
      const Bleu4 scores = bleu_of_counts(own);
      for (size_t n = 0; n < 4; ++n) {
        CHECK(result.images[i][n] == scores[n]);
        CHECK(one.corpus[n] == scores[n]);
      }
      total += own;
      total_shortest += plain_counts(made.candidates[i], made.references[i], true);
    }
    check_counts(result.counts, total);
    for (size_t n = 0; n < 4; ++n) CHECK(result.corpus[n] == bleu_of_counts(total)[n]);

    // torcheval's form, in double here.
    const Bleu4 other = bleu_torcheval(made.candidates, made.references);
    const auto c = static_cast<double>(total_shortest.candidate_length),
               r = static_cast<double>(total_shortest.reference_length);
    double logs = 0;
    for (size_t n = 0; n < 4; ++n) {
      logs += std::log(static_cast<double>(total_shortest.correct[n]) /
                       static_cast<double>(total_shortest.guess[n]));
      CHECK(other[n] ==
            doctest::Approx((c > r ? 1 : std::exp(1 - r / c)) * std::exp(logs / static_cast<double>(n + 1)))
                .epsilon(1e-5));
    }
  }
}

TEST_CASE("bleu_of_counts is the formula in bleu.h") {
  for (const BleuCounts& counts : std::vector<BleuCounts>{{10, 10, {10, 9, 8, 7}, {5, 3, 2, 1}},
                                                          {9, 10, {9, 8, 7, 6}, {9, 8, 7, 6}},
                                                          {11, 10, {11, 10, 9, 8}, {4, 0, 0, 0}},
                                                          {1, 20, {1, 0, 0, 0}, {1, 0, 0, 0}}}) {
    const Bleu4 scores = bleu_of_counts(counts);
    const double c = static_cast<double>(counts.candidate_length),
                 r = static_cast<double>(counts.reference_length);
    const double penalty = c < r ? std::exp(1 - r / c) : 1;
    double product = 1;
    for (size_t n = 0; n < 4; ++n) {
      product *=
          (static_cast<double>(counts.correct[n]) + 1e-15) / (static_cast<double>(counts.guess[n]) + 1e-9);
      CHECK(scores[n] ==
            doctest::Approx(penalty * std::pow(product, 1.0 / static_cast<double>(n + 1))).epsilon(1e-8));
    }
  }
}

TEST_CASE("bleu_torcheval's penalty: none for longer candidates, exp(1 - r / c) for others") {
  const auto first = [](const char* candidate, const char* reference) {
    return bleu_torcheval(Texts{candidate}, std::vector<Texts>{{reference}}, true)[0];
  };
  CHECK(first("a a a a a", "a a a a") == doctest::Approx(0.8).epsilon(1e-6));
  CHECK(first("a a a a", "a a a a") == doctest::Approx(1).epsilon(1e-6));
  CHECK(first("a a", "a a a a") == doctest::Approx(std::exp(-1)).epsilon(1e-6));
  CHECK(first("a", "a a a a a") == doctest::Approx(std::exp(-4)).epsilon(1e-6));
}

TEST_CASE("rouge_l is the definition, by a recursive longest common subsequence") {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    const Case made = made_up(seed, 8);
    const ImageScores scores = rouge_l(made.candidates, made.references);
    double mean = 0;
    REQUIRE(scores.images.size() == 8);
    for (size_t i = 0; i < 8; ++i) {
      const double expected = plain_rouge(made.candidates[i], made.references[i]);
      CHECK(scores.images[i] == doctest::Approx(expected).epsilon(1e-12));
      mean += expected / 8;
    }
    CHECK(scores.mean == doctest::Approx(mean).epsilon(1e-12));
  }
}

TEST_CASE("cider is its formula over plain maps, and its mean") {
  for (uint64_t seed = 0; seed < 12; ++seed)
    for (const size_t images : {1, 2, 9}) {
      CAPTURE(seed);
      CAPTURE(images);
      const Case made = made_up(seed, images);
      const ImageScores scores = cider(made.candidates, made.references);
      double mean = 0;
      REQUIRE(scores.images.size() == images);
      for (size_t i = 0; i < images; ++i) {
        const double expected = plain_cider(made.candidates[i], made.references[i], made.references);
        CHECK(scores.images[i] == doctest::Approx(expected).epsilon(1e-11));
        mean += expected / static_cast<double>(images);
      }
      CHECK(scores.mean == doctest::Approx(mean).epsilon(1e-11));

      // Each pair an image, the reference judged by the candidate.
      Texts judged;
      std::vector<Texts> documents;
      for (size_t i = 0; i < images; ++i)
        for (const std::string& reference : made.references[i]) {
          judged.push_back(reference);
          documents.push_back({made.candidates[i]});
        }
      const ImageScores swapped = cider_swapped(made.candidates, made.references);
      REQUIRE(swapped.images.size() == judged.size());
      for (size_t i = 0; i < judged.size(); ++i)
        CHECK(swapped.images[i] ==
              doctest::Approx(plain_cider(judged[i], documents[i], documents)).epsilon(1e-11));
    }
}

TEST_CASE("scores of captions with other words do not change those of the next ones") {
  const Case made = made_up(3, 9);
  CiderScorer scorer(made.references);
  const double before = scorer.score(4, made.candidates[4]);
  CHECK(scorer.score(4, "words that no reference has seen") == 0);
  CHECK(scorer.score(4, made.candidates[4]) == before);
}

TEST_CASE("split_words: exactly Python's white space separates") {
  // The characters c for which Python 3 says str.isspace(c).
  std::set<char32_t> spaces = {0x20, 0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000};
  for (char32_t c = 9; c <= 13; ++c) spaces.insert(c);
  for (char32_t c = 28; c <= 31; ++c) spaces.insert(c);
  for (char32_t c = 0x2000; c <= 0x200A; ++c) spaces.insert(c);
  for (char32_t c = 1; c < 0x3100; ++c) {
    const std::string text = encode_utf8(std::u32string{U'a', c, U'b'});
    if ((split_words(text).size() == 2) == spaces.contains(c)) continue;
    CAPTURE(static_cast<uint32_t>(c));
    FAIL_CHECK("is taken for the other");
  }
  CHECK(split_words(" \n ").empty());
  CHECK(split_words("one") == std::vector<std::string_view>{"one"});
  CHECK(split_words("one  two ") == std::vector<std::string_view>{"one", "two"});
}
