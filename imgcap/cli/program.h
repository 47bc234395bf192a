// The program, from its command line to its exit code.
#pragma once

#include <functional>
#include <string>

namespace imgcap::cli {

// How a piece of work ended. Code 2: what was given is at fault (an argument, a file, a full disk, too little
// memory); 1: the program itself is; 130: Ctrl-C; 141: who read stdout was gone before the end, which is no
// error but no success either, so the code is the one of programs that SIGPIPE ends. The sentence is empty
// where there is nothing to say.
struct Ending {
  int code = 0;
  std::string sentence;
};

// What `work` returns, or what the thing that it throws means.
Ending ending_of(const std::function<int()>& work);

// Reads the line, runs its verb and gives the exit code; says on stderr, in one sentence, what went wrong.
int run_program(int argc, const char* const* argv);

}  // namespace imgcap::cli
