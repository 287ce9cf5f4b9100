// `sallyport sidecar`: the options of a pod's proxy, and running it.
#pragma once

namespace sallyport::cli {

// argv[0] is the subcommand's name. Returns the exit code; 2 for a wrong command line.
int run_sidecar(int argc, char** argv);

}  // namespace sallyport::cli
