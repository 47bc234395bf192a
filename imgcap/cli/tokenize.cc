#include <csignal>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "imgcap/cli/cli.h"
#include "imgcap/data/tokenizer.h"
#include "imgcap/metrics/ptb_tokenizer.h"
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

void run(const std::string& rules) {
  // Nothing is lost when Ctrl-C ends the wait for a line.
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
  const auto tokenize = [&](const std::string& l) { return rules == "ptb" ? tokenize_ptb(l) : tokenize_spacy(l); };
  std::string line;
  for (int64_t number = 1; next_line(line, number); ++number)
    print(nlohmann::json(tokenize(line)).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) +
          "\n");
}

}  // namespace

void add_tokenize(Verb& app, Program& program) {
  Verb verb = add_verb(app, program, "tokenize", "Split lines of stdin into tokens: one JSON array a line");
  const auto rules = std::make_shared<std::string>("spacy");
  verb.option("--rules", *rules, "spacy (training's tokens) or ptb (words of the scores)")
      .one_of({"spacy", "ptb"});
  verb.on_run([rules] { run(*rules); });
}

}  // namespace imgcap::cli
