// Files of several data sets on one command line: "flickr8k=captions.csv".
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace imgcap::cli {

// A file and the set that it is of; `set` is empty where the text names none.
struct SetFile {
  std::string set, file;
  bool operator==(const SetFile&) const = default;
};

// FILE or SET=FILE. A set's name begins with a letter or a digit and has letters, digits, "_", "-" and ".", 64 at most; so
// "./a=b.csv" is never of a set. What else may be read in both ways means the reading whose file is there, as
// `exists` says; where neither is, the one with a set. Errors: argument (both files are there, or no file is
// named behind the set; the text says how to write it).
SetFile parse_set_file(const std::string& text, const std::function<bool(const std::string&)>& exists);

// The same for each, by what is on the disk.
std::vector<SetFile> parse_set_files(const std::vector<std::string>& texts);

// An option that takes FILE or SET=FILE, with what it was given.
struct SetOption {
  std::string flag;
  std::vector<std::string> texts;
};

// The files of one set, by option.
struct FileSet {
  std::string name;  // empty: there is no other
  std::map<std::string, std::vector<std::string>> files;

  std::vector<std::string> of(const std::string& flag) const;
};

// The sets that `first` has, in its order, with the files of the others. One set alone goes without a name.
// Errors: those of parse_set_file, argument (`first` has files with a set and others without, or another option
// names a set that it does not have). `verb` begins them.
std::vector<FileSet> files_by_set(const std::string& verb, const SetOption& first,
                                  const std::vector<SetOption>& others);

// The files alone, for a verb to which their sets mean nothing. Errors: those of parse_set_file.
std::vector<std::string> without_sets(const std::vector<std::string>& texts);

// For a verb that would mix sets up. Errors: argument (a file is of one).
void expect_no_sets(const std::string& verb, const SetOption& option);

// SET=NUMBER, the number over 0 and at most kMostSetWeight. Errors: argument.
struct SetWeight {
  std::string set;
  double weight = 1;
};
inline constexpr double kMostSetWeight = 1000;
SetWeight parse_set_weight(const std::string& text);

}  // namespace imgcap::cli
