#include "imgcap/cli/cli.h"

#include <unistd.h>

#include <cstdio>

#include "tensor/error.h"
#include "tensor/random.h"
#include "tensor/thread_pool.h"

namespace imgcap::cli {

CLI::App* add_verb(CLI::App& app, Program& program, const std::string& name, const std::string& description) {
  CLI::App* verb = app.add_subcommand(name, description);
  verb->option_defaults()->always_capture_default();
  verb->set_config("--config", "", "Options from a file (name = value lines); flags go on top");
  verb->add_option("--seed", program.seed, "Seed of everything random");
  verb->add_option("--threads", program.threads, "Threads (0: one a processor)")->check(CLI::Range(0, 256));
  verb->parse_complete_callback([&program] {
    if (program.threads > 0) tensor::set_num_threads(program.threads);
    tensor::default_generator().set_state(program.seed, 0);
  });
  return verb;
}

std::atomic<bool>& stop_flag() {
  static std::atomic<bool> flag{false};
  return flag;
}

ProgressLine::ProgressLine() : terminal_(isatty(STDOUT_FILENO) == 1) {}
ProgressLine::~ProgressLine() { clear(); }

void ProgressLine::show(const std::string& text) {
  if (!terminal_) return;
  std::fprintf(stdout, "\r\033[K%s", text.c_str());
  std::fflush(stdout);
  shown_ = true;
}

void ProgressLine::clear() {
  if (!shown_) return;
  std::fputs("\r\033[K", stdout);
  std::fflush(stdout);
  shown_ = false;
}

void print(const std::string& text) {
  const bool ok = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  tensor::check(ok, tensor::ErrorKind::io, "stdout: cannot be written");
}

}  // namespace imgcap::cli
