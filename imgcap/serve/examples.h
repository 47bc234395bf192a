// The photos that ship, for visitors without one of their own.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace imgcap::serve {

struct Example {
  std::string name;     // of its file
  std::string licence;  // "CC BY 2.0 (Attribution License)"
  std::string author;   // where the line names one
  std::string source;   // the page that it is from; may be empty
  std::string bytes;    // of the JPEG
};

// The photos of a folder that its LICENSES.txt has a line of: "file | licence | statements and addresses | ...". One
// without a line, or whose file cannot be read, is left out; without a folder there are none.
std::vector<Example> load_examples(const std::filesystem::path& folder);

}  // namespace imgcap::serve
