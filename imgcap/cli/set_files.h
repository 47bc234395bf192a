// Files of several data sets on one command line: "flickr8k=captions.csv", "flickr8k_ar=ar:arabic.csv".
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace imgcap::cli {

// A file, the set that it is of and its captions' language; these two are empty where the text names none.
struct SetFile {
  std::string set, file, language{};
  bool operator==(const SetFile&) const = default;
};

// What may stand before a file: SET=, or SET= and LANG:, two letters a-z.
enum class Before { set, set_and_language };

// FILE or SET=FILE, or also LANG:FILE and SET=LANG:FILE. A set's name begins with a letter or a digit and has letters,
// digits, "_", "-" and ".", 64 at most; so "./a=b.csv" is never of a set. What else may be read in several ways means
// the reading whose file is there, as `exists` says; where none is, the one with most before the file. Errors:
// argument (two such files are there, or no file is named; the text says how to write it).
SetFile parse_set_file(const std::string& text, const std::function<bool(const std::string&)>& exists,
                       Before before = Before::set);

// The same for each, by what is on the disk.
std::vector<SetFile> parse_set_files(const std::vector<std::string>& texts, Before before = Before::set);

// An option that takes FILE or SET=FILE, with what it was given.
struct SetOption {
  std::string flag;
  std::vector<std::string> texts;
};

// The files of one set, by option.
struct FileSet {
  std::string name;      // empty: there is no other
  std::string language;  // of its captions; empty: not named
  std::map<std::string, std::vector<std::string>> files;

  std::vector<std::string> of(const std::string& flag) const;
};

// The sets that `first` has, in its order, with the files of the others. One set alone goes without a name. Files of
// `first` may have a language before them; `language` is that of those that have none. Errors: those of
// parse_set_file, argument (`first` has files with a set and others without, or a set's files have two languages, or
// another option names a set that it does not have). `verb` begins them.
std::vector<FileSet> files_by_set(const std::string& verb, const SetOption& first,
                                  const std::vector<SetOption>& others, const std::string& language = "");

// Where nothing says which language a set without one has. Errors: argument (some sets have one, and others none).
void expect_languages(const std::string& verb, const std::string& flag, const std::vector<FileSet>& sets);

// The files alone, for a verb to which their sets and languages mean nothing. Errors: those of parse_set_file.
std::vector<std::string> without_sets(const std::vector<std::string>& texts);

// For a verb that would mix sets up. Errors: argument (a file is of one).
void expect_no_sets(const std::string& verb, const SetOption& option, Before before = Before::set);

// The language of such a verb's files; `language` is that of those that name none. Errors: those of parse_set_file,
// argument (there are several).
std::string only_language(const std::string& verb, const SetOption& option, const std::string& language);

// SET=NUMBER, the number over 0 and at most kMostSetWeight. Errors: argument.
struct SetWeight {
  std::string set;
  double weight = 1;
};
inline constexpr double kMostSetWeight = 1000;
SetWeight parse_set_weight(const std::string& text);

}  // namespace imgcap::cli
