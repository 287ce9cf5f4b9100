// The subcommand `inject`.
#pragma once

namespace sallyport::cli {

// `sallyport inject -f FILE [-f FILE]... [-o FILE]`; - is stdin. Writes to stdout unless -o.
// Returns the exit code.
int run_inject(int argc, char** argv);

}  // namespace sallyport::cli
