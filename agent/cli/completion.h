// `sallyport completion bash|zsh|fish`: a script that completes commands and flags in a shell.
#pragma once

namespace sallyport::cli {

// argv[0] is the subcommand's name. Returns the exit code: 0 printed, 2 wrong command line.
int run_completion(int argc, char** argv);

}  // namespace sallyport::cli
