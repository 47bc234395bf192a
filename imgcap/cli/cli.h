// The program's verbs: one file each. A verb's function adds it, with its options, to the program.
#pragma once

#include <signal.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <vector>

#include "imgcap/cli/verb.h"
#include "tensor/io/atomic_file.h"
#include "tensor/io/json.h"

namespace imgcap::cli {

// What every verb can read.
struct Program {
  uint64_t seed = 1;
  int threads = 0;  // 0: all processors
  int exit_code = 0;
};

// A subcommand with the options that all verbs share: --config, --seed, --threads.
Verb add_verb(Verb& above, Program& program, const std::string& name, const std::string& description);

void add_bench(Verb& app, Program& program);
void add_caption(Verb& app, Program& program);
void add_classify(Verb& app, Program& program);
void add_convert(Verb& app, Program& program);
void add_data(Verb& app, Program& program);
void add_eval(Verb& app, Program& program);
void add_export(Verb& app, Program& program);
void add_gradcheck(Verb& app, Program& program);
void add_info(Verb& app, Program& program);
void add_ops(Verb& app, Program& program);
void add_prepare(Verb& app, Program& program);
void add_report(Verb& app, Program& program);
void add_score(Verb& app, Program& program);
void add_serve(Verb& app, Program& program);
void add_tokenize(Verb& app, Program& program);
void add_train(Verb& app, Program& program);
void add_vocab(Verb& app, Program& program);

// Set by Ctrl-C and SIGTERM while a StopSignals lives: long work ends at its next good place. A second
// signal, and one at any other time, ends the program at once.
const std::atomic<bool>& stop_flag();

class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

 private:
  std::vector<char> stack_;
  stack_t previous_stack_{};
};

// Thrown by work that stop_flag() ended: exit code 130.
struct Interrupted {};

// A line on stderr that overwrites itself where both outputs are a terminal, and nothing elsewhere.
class ProgressLine {
 public:
  ProgressLine();
  ~ProgressLine();
  bool is_terminal() const { return terminal_; }
  void show(const std::string& text);
  void clear();

 private:
  bool terminal_, shown_ = false;
};

using tensor::io::expect_writable;

// Each sentence as a line on stderr, escaped for a terminal.
void say(const std::vector<std::string>& sentences);

// Thrown by print() when nobody reads stdout any more (`imgcap ops | head`): no error, exit code 141.
struct ClosedPipe {};

// Writes to stdout; an io error when that fails (a full disk), ClosedPipe when its reader is gone.
void print(const std::string& text);
void print_line(const tensor::io::Json& json);

// The same for news of work that is worth finishing unread, such as training: a closed pipe is passed over.
void tell(const std::string& text);

}  // namespace imgcap::cli
