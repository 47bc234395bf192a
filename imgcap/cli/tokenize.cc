#include <csignal>
#include <cstdio>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgcap/cli/cli.h"
#include "imgcap/cli/text_options.h"
#include "imgcap/data/text_rules.h"
#include "imgcap/metrics/ptb_tokenizer.h"
#include "imgcap/settings/names.h"
#include "tensor/error.h"

namespace imgcap::cli {
namespace {

constexpr size_t kMaxLineBytes = size_t{16} << 20;

// The next line of stdin without its end; false at the end of the input.
bool next_line(std::string& line, int64_t number) {
  line.clear();
  int c = std::getc(stdin);
  if (c == EOF) {
    tensor::check(std::ferror(stdin) == 0, tensor::ErrorKind::io, "stdin: cannot be read");
    return false;
  }
  for (; c != EOF && c != '\n'; c = std::getc(stdin)) {
    tensor::check(line.size() < kMaxLineBytes, tensor::ErrorKind::data,
                  "stdin:{}: a line of more than {} bytes", number, kMaxLineBytes);
    line.push_back(static_cast<char>(c));
  }
  if (line.ends_with('\r')) line.pop_back();
  return true;
}

struct Options {
  std::string rules = "spacy";
  Normalisation normalisation;
};

void run_tokens(const TextRules& rules) {
  std::string line;
  for (int64_t number = 1; next_line(line, number); ++number) print_line(tokenize(line, rules));
}

// The official tool reads all lines as one text: what follows a line, over empty ones, may decide about its
// last token. So a line waits for the next one that is not empty.
void run_ptb(const Normalisation& normalisation) {
  std::optional<std::string> waiting;
  int64_t empty_lines = 0;
  const auto print_waiting = [&](const std::string& following) {
    if (waiting) print_line(tokenize_ptb(*waiting, (empty_lines > 0 ? "\n" : "") + following));
    for (; empty_lines > 0; --empty_lines) print_line(tensor::io::Json::array());
  };
  std::string line;
  for (int64_t number = 1; next_line(line, number); ++number) {
    line = normalised(line, normalisation);
    if (line.find_first_not_of(" \t\v\f\r") == std::string::npos) {
      ++empty_lines;
      continue;
    }
    print_waiting(line);
    waiting = line;
  }
  print_waiting("");
}

void run(const Options& o) {
  // Ctrl-C ends the wait for a line as it ends other programs: there is nothing to save.
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  if (o.rules == "ptb")
    run_ptb(o.normalisation);
  else
    run_tokens({o.normalisation, *value_named<Tokenizer>(o.rules)});
}

}  // namespace

void add_tokenize(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "tokenize", "Split lines of stdin into tokens: one JSON array per line");
  const auto o = std::make_shared<Options>();
  verb.option(
          "--rules", o->rules,
          "spacy (training's tokens), unicode (whole words of other languages, without punctuation) or ptb "
          "(words of the scores; a line is printed when the next one is known)")
      .one_of({"spacy", "unicode", "ptb"});
  add_normalisation(verb, o->normalisation);
  verb.on_run([o] { run(*o); });
}

}  // namespace imgcap::cli
