#include "imgcap/cli/cli.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "tensor/error.h"
#include "tensor/random.h"
#include "tensor/thread_pool.h"

namespace imgcap::cli {
namespace {

std::atomic<bool> g_stop{false};
static_assert(std::atomic<bool>::is_always_lock_free);

extern "C" void on_signal(int signal) {
  g_stop = true;
  std::signal(signal, SIG_DFL);
}

// The file's options for those that the command line leaves open. CLI11 reads configuration files of the
// whole program only, not of a subcommand. This runs before the other options' values are taken and before
// missing ones are complained about, as --config is the verb's first option.
void read_config(CLI::App& verb, const std::string& file) {
  if (std::filesystem::is_directory(file))
    throw CLI::FileError(file + " is a folder, not a configuration file");
  for (const CLI::ConfigItem& item : verb.get_config_formatter_base()->from_file(file)) {
    CLI::Option* option = verb.get_option_no_throw("--" + item.name);
    if (option == nullptr) option = verb.get_option_no_throw(item.name);
    const bool known =
        option != nullptr && item.parents.empty() && item.name != "config" && item.name != "help";
    if (!known)
      throw CLI::ConfigError(
          fmt::format("{}: {} has no option '{}'", file, verb.get_name(), item.fullname()));
    if (option->count() > 0) continue;
    if (option->get_expected_min() == 0)
      option->add_result(option->get_flag_value(item.name, verb.get_config_formatter_base()->to_flag(item)));
    else
      option->add_result(item.inputs);
  }
}

}  // namespace

CLI::App* add_verb(CLI::App& app, Program& program, const std::string& name, const std::string& description) {
  CLI::App* verb = app.add_subcommand(name, description);
  verb->option_defaults()->always_capture_default();
  verb->add_option_function<std::string>(
      "--config", [verb](const std::string& file) { read_config(*verb, file); },
      "Options from a file (name = value lines); flags go on top");
  verb->add_option("--seed", program.seed, "Seed of everything random")->check(CLI::NonNegativeNumber);
  verb->add_option("--threads", program.threads, "Threads (0: one a processor)")->check(CLI::Range(0, 256));
  verb->parse_complete_callback([&program] {
    if (program.threads > 0) tensor::set_num_threads(program.threads);
    tensor::default_generator().set_state(program.seed, 0);
  });
  return verb;
}

const std::atomic<bool>& stop_flag() { return g_stop; }

StopSignals::StopSignals() {
  std::signal(SIGINT, on_signal);
  std::signal(SIGTERM, on_signal);
}

StopSignals::~StopSignals() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
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

void expect_writable(const std::filesystem::path& file) {
  std::error_code error;
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  tensor::check(std::filesystem::is_directory(folder, error), tensor::ErrorKind::io,
                "{}: there is no folder {}", file.string(), folder.string());
  tensor::check(!std::filesystem::is_directory(file, error), tensor::ErrorKind::io, "{}: is a folder",
                file.string());
}

void print(const std::string& text) {
  const bool ok = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  tensor::check(ok, tensor::ErrorKind::io, "stdout: cannot be written");
}

}  // namespace imgcap::cli
