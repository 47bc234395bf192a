// The parsers behind parse_captions(): each adds what it finds to `file`.
#pragma once

#include <string>
#include <string_view>

#include "imgcap/data/captions.h"

namespace imgcap::formats {

void parse_pipe(std::string_view text, const std::string& name, CaptionFile& file);
void parse_comma(std::string_view text, const std::string& name, CaptionFile& file);
void parse_coco(std::string_view text, const std::string& name, CaptionFile& file);  // both JSON formats

std::string_view trim(std::string_view text);  // without blanks, tabs and line ends around it

// Adds the caption, or the reason why it is none.
void add_caption(std::string_view image, int number, std::string_view text, const std::string& where,
                 CaptionFile& file);

}  // namespace imgcap::formats
