// Runs one program to its end, with a given input, and collects what it prints.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "agent/core/error.h"

namespace sallyport::rules {

struct ProgramResult {
  int exit_code = 0;   // 128 + the signal's number if one ended it
  std::string output;  // standard output
  std::string errors;  // standard error
};

// The full path of a program in PATH, or in the usual directories where PATH is not set; empty if
// it is nowhere.
std::string find_program(std::string_view name);

// Blocks. arguments[0] is the program's full path. Errors: it can't be started, or is not done
// within limits::iptables_time (then it is killed), or prints more than
// limits::iptables_output_bytes.
Result<ProgramResult> run_program(const std::vector<std::string>& arguments,
                                  std::string_view input);

}  // namespace sallyport::rules
