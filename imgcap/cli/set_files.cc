#include "imgcap/cli/set_files.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>

#include "imgcap/data/utf8.h"
#include "imgcap/data/vocabulary.h"
#include "tensor/error.h"

namespace imgcap::cli {
namespace {

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool is_set_name(std::string_view text) {
  constexpr size_t kLongest = 64;  // it becomes part of files' names
  return !text.empty() && text.size() <= kLongest && is_letter_or_digit(text.front()) &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return is_letter_or_digit(c) || c == '_' || c == '-' || c == '.'; });
}

// A file and what stands before it, as it is written.
std::string written(const SetFile& reading, const std::string& file) {
  return (reading.set.empty() ? "" : reading.set + "=") +
         (reading.language.empty() ? "" : reading.language + ":") + file;
}

// Everything that the text may mean, with more in front of the file from one to the next.
std::vector<SetFile> readings(const std::string& text, Before before) {
  std::vector<SetFile> all = {{"", text}};
  const size_t at = text.find('=');
  if (at != std::string::npos && is_set_name(std::string_view(text).substr(0, at)))
    all.push_back({text.substr(0, at), text.substr(at + 1)});
  const SetFile& last = all.back();
  if (before == Before::set_and_language && last.file.size() > 2 && last.file[2] == ':' &&
      is_language_code(last.file.substr(0, 2)))
    all.push_back({last.set, last.file.substr(3), last.file.substr(0, 2)});
  return all;
}

FileSet* find(std::vector<FileSet>& sets, const std::string& name) {
  const auto found =
      std::find_if(sets.begin(), sets.end(), [&](const FileSet& set) { return set.name == name; });
  return found == sets.end() ? nullptr : &*found;
}

// A file of a set that `first`, which decides what sets there are, does not have.
[[noreturn]] void refuse(const std::string& verb, const std::string& flag, const SetFile& file,
                         const std::string& first, const std::vector<FileSet>& sets) {
  std::vector<std::string> names;
  for (const FileSet& set : sets) names.push_back(set.name);
  const std::string known = tensor::join(names, ", "), name = printable(file.file);
  tensor::check(!file.set.empty(), tensor::ErrorKind::argument,
                "{}: {} {}: of which set? {} has {}; write SET={}", verb, flag, name, first, known, name);
  tensor::fail(tensor::ErrorKind::argument, "{}: {} {}={}: {} has no set {}{}", verb, flag, file.set, name,
               first, file.set,
               names.front().empty() ? "; write " + first + " " + file.set + "=FILE" : ", but " + known);
}

}  // namespace

SetFile parse_set_file(const std::string& text, const std::function<bool(const std::string&)>& exists,
                       Before before) {
  const std::vector<SetFile> all = readings(text, before);
  std::vector<SetFile> there;
  for (const SetFile& reading : all)
    if (!reading.file.empty() && exists(reading.file)) there.push_back(reading);
  if (there.size() > 1) {
    const SetFile &first = there.front(), &other = there.back();
    tensor::fail(
        tensor::ErrorKind::argument,
        "{}: there is a file {}, and {} that it may mean as well; write {} for the first, and {} for the other",
        printable(text), first.file == text ? "of this name" : printable(first.file), printable(other.file),
        printable(written(first, "./" + first.file)), printable(written(other, "./" + other.file)));
  }
  const SetFile& meant = there.empty() ? all.back() : there.front();
  tensor::check(!meant.file.empty(), tensor::ErrorKind::argument, "{}: no file is named behind the {}",
                printable(text), meant.language.empty() ? "set" : "language");
  return meant;
}

std::vector<SetFile> parse_set_files(const std::vector<std::string>& texts, Before before) {
  std::vector<SetFile> all;
  for (const std::string& text : texts)
    all.push_back(parse_set_file(
        text,
        [](const std::string& file) {
          std::error_code error;  // a name that is too long is none
          return std::filesystem::exists(file, error);
        },
        before));
  return all;
}

std::vector<std::string> FileSet::of(const std::string& flag) const {
  const auto found = files.find(flag);
  return found == files.end() ? std::vector<std::string>() : found->second;
}

std::vector<FileSet> files_by_set(const std::string& verb, const SetOption& first,
                                  const std::vector<SetOption>& others, const std::string& language) {
  std::vector<FileSet> sets;
  const std::vector<SetFile> of_first = parse_set_files(first.texts, Before::set_and_language);
  for (const SetFile& file : of_first) {
    const std::string own = file.language.empty() ? language : file.language;
    FileSet* set = find(sets, file.set);
    if (set == nullptr) set = &sets.emplace_back(FileSet{file.set, own, {}});
    tensor::check(set->language == own, tensor::ErrorKind::argument,
                  "{}: {} {}: a set has one language, and others of its files have {}: write SET={}", verb,
                  first.flag, printable(written(file, file.file)),
                  set->language.empty() ? "none" : set->language,
                  printable(written({"", "", file.language}, file.file)));
    set->files[first.flag].push_back(file.file);
  }
  const auto nameless =
      std::find_if(of_first.begin(), of_first.end(), [](const SetFile& file) { return file.set.empty(); });
  if (nameless != of_first.end() && sets.size() > 1) {
    const std::string file = printable(written(*nameless, nameless->file));
    tensor::fail(tensor::ErrorKind::argument, "{}: {} {}: of which set? Others have one: write SET={}", verb,
                 first.flag, file, file);
  }
  for (const SetOption& option : others)
    for (const SetFile& file : parse_set_files(option.texts)) {
      FileSet* const set = find(sets, file.set);
      if (set == nullptr) refuse(verb, option.flag, file, first.flag, sets);
      set->files[option.flag].push_back(file.file);
    }
  if (sets.size() == 1) sets.front().name.clear();
  return sets;
}

void expect_languages(const std::string& verb, const std::string& flag, const std::vector<FileSet>& sets) {
  const auto with =
      std::find_if(sets.begin(), sets.end(), [](const FileSet& set) { return !set.language.empty(); });
  const auto without =
      std::find_if(sets.begin(), sets.end(), [](const FileSet& set) { return set.language.empty(); });
  tensor::check(
      with == sets.end() || without == sets.end(), tensor::ErrorKind::argument,
      "{}: the set {} has the language {}, and {} names none: write {} {}=LANG:FILE, or --lang LANG for "
      "all that name none",
      verb, with->name, with->language, without->name, flag, without->name);
}

std::vector<std::string> without_sets(const std::vector<std::string>& texts) {
  std::vector<std::string> files;
  for (const SetFile& file : parse_set_files(texts, Before::set_and_language)) files.push_back(file.file);
  return files;
}

void expect_no_sets(const std::string& verb, const SetOption& option, Before before) {
  for (const SetFile& file : parse_set_files(option.texts, before))
    tensor::check(file.set.empty(), tensor::ErrorKind::argument,
                  "{}: {} {}={}: sets are for train and eval; here it is one at a time: write {}", verb,
                  option.flag, file.set, printable(file.file), printable(file.file));
}

std::string only_language(const std::string& verb, const SetOption& option, const std::string& language) {
  std::optional<std::string> only;
  for (const SetFile& file : parse_set_files(option.texts, Before::set_and_language)) {
    const std::string own = file.language.empty() ? language : file.language;
    if (!only) only = own;
    tensor::check(*only == own, tensor::ErrorKind::argument,
                  "{}: {} {}: others of the files have {}; here it is one language at a time", verb,
                  option.flag, printable(written(file, file.file)),
                  only->empty() ? "no language" : "the language " + *only);
  }
  return only.value_or(language);
}

SetWeight parse_set_weight(const std::string& text) {
  const size_t at = text.find('=');
  double weight = 0;
  const char* const end = text.data() + text.size();
  const bool parsed = at != std::string::npos && is_set_name(std::string_view(text).substr(0, at)) && [&] {
    const auto [stop, error] = std::from_chars(text.data() + at + 1, end, weight);
    return error == std::errc() && stop == end;
  }();
  tensor::check(parsed && weight > 0 && weight <= kMostSetWeight, tensor::ErrorKind::argument,
                "--set-weight {}: it has to be SET=NUMBER with a number over 0 and up to {}", printable(text),
                kMostSetWeight);
  return {text.substr(0, at), weight};
}

}  // namespace imgcap::cli
