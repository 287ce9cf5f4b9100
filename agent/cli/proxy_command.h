// `sallyport sidecar` and `sallyport gateway`: the options of a proxy, and running it.
#pragma once

namespace sallyport::cli {

// argv[0] is the subcommand's name. Return the exit code; 2 for a wrong command line.
int run_sidecar(int argc, char** argv);
int run_gateway(int argc, char** argv);

}  // namespace sallyport::cli
