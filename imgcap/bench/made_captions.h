// Captions without photos, for what only counts words.
#pragma once

#include <cstdint>
#include <string>

namespace imgcap::bench {

// Writes two files like Flickr30k's results.csv: five captions of each image, and one that shares about two
// thirds of its words with one of them. A caption has 8 to 14 words of 9,000, whose frequencies fall as those of
// a language (Zipf), and the same ones at each call. Errors: io.
void write_made_captions(int64_t images, const std::string& references, const std::string& candidates);

}  // namespace imgcap::bench
