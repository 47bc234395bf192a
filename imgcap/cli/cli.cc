#include "imgcap/cli/cli.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>

#include "imgcap/data/utf8.h"
#include "tensor/error.h"
#include "tensor/random.h"
#include "tensor/thread_pool.h"

namespace imgcap::cli {
namespace {

std::atomic<bool> g_stop{false};
static_assert(std::atomic<bool>::is_always_lock_free);

constexpr int kStops[] = {SIGINT, SIGTERM};

extern "C" void on_signal(int signal) {
  g_stop = true;
  std::signal(signal, SIG_DFL);
}

}  // namespace

Verb add_verb(Verb& above, Program& program, const std::string& name, const std::string& description) {
  Verb verb = above.verb(name, description);
  verb.config_option();
  verb.option("--seed", program.seed, "Seed of everything random").not_negative();
  verb.option("--threads", program.threads, "Threads (0: one per processor)").range(0, 256);
  verb.on_parsed([&program] {
    if (program.threads > 0) tensor::set_num_threads(program.threads);
    tensor::default_generator().set_state(program.seed, 0);
  });
  return verb;
}

const std::atomic<bool>& stop_flag() { return g_stop; }

// A stack of its own for the handler: the caller's may be in use for something else (tensor/hold_signals.h).
StopSignals::StopSignals() : stack_(size_t{1} << 16) {
  stack_t stack{};
  stack.ss_sp = stack_.data();
  stack.ss_size = stack_.size();
  sigaltstack(&stack, &previous_stack_);
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_ONSTACK | SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (const int signal : kStops) sigaction(signal, &action, nullptr);
}

StopSignals::~StopSignals() {
  for (const int signal : kStops) std::signal(signal, SIG_DFL);
  sigaltstack(&previous_stack_, nullptr);
}

ProgressLine::ProgressLine() : terminal_(isatty(STDOUT_FILENO) == 1 && isatty(STDERR_FILENO) == 1) {}
ProgressLine::~ProgressLine() { clear(); }

void ProgressLine::show(const std::string& text) {
  if (!terminal_) return;
  std::fprintf(stderr, "\r\033[K%s", text.c_str());
  std::fflush(stderr);
  shown_ = true;
}

void ProgressLine::clear() {
  if (!shown_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  shown_ = false;
}

void say(const std::vector<std::string>& sentences) {
  for (const std::string& sentence : sentences)
    std::fprintf(stderr, "imgcap: %s\n", printable(sentence).c_str());
}

void print(const std::string& text) {
  errno = 0;
  const bool ok = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!ok && errno == EPIPE) throw ClosedPipe{};
  tensor::check(ok, tensor::ErrorKind::io, "stdout: cannot be written");
}

void tell(const std::string& text) {
  try {
    print(text);
  } catch (const ClosedPipe&) {
  }
}

void print_line(const tensor::io::Json& json) { print(json.dump() + "\n"); }

}  // namespace imgcap::cli
