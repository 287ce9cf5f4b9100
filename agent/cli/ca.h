// `sallyport ca`: a CA that speaks Istio's certificate service, for meshes without istiod.
#pragma once

namespace sallyport::cli {

// argv[0] is the subcommand's name. Returns the exit code: 0 ended as asked, 1 could not start, 2
// for a wrong command line.
int run_ca(int argc, char** argv);

}  // namespace sallyport::cli
