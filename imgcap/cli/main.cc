#include <csignal>

#include "imgcap/cli/program.h"

int main(int argc, char** argv) {
  // A closed pipe and a file-size limit are noticed by the write that meets them: a training run goes on
  // without its pipe.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  return imgcap::cli::run_program(argc, argv);
}
