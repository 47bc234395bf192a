// The page's files, which are part of the program (cmake/embed.cmake).
#pragma once

#include <span>
#include <string_view>

namespace imgcap::serve {

struct PageFile {
  std::string_view path;  // "/page.css"
  std::string_view type;  // Content-Type
  std::string_view bytes;
  std::string_view etag;  // with its quotes
};

std::span<const PageFile> page_files();

}  // namespace imgcap::serve
