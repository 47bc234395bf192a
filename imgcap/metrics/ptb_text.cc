#include "imgcap/metrics/ptb_text.h"

namespace imgcap::ptb {

Text::Text(std::u32string characters) : characters_(std::move(characters)) {
  lower_ = characters_;
  for (char32_t& c : lower_)
    if (ascii_capital(c)) c += 32;
  classes_.reserve(characters_.size());
  for (const char32_t c : characters_) classes_.push_back(class_of(c));
}

}  // namespace imgcap::ptb
