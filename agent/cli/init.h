// `sallyport init`: installs, verifies or removes the redirects of a pod, with istio-iptables'
// flags.
#pragma once

namespace sallyport::cli {

// argv[0] is the subcommand's name. Returns the exit code: 0 done (or nothing to do), 1 could not
// be done and the rules are as before, 2 wrong command line, 126 --verify found a difference or
// could not look.
int run_init(int argc, char** argv);

}  // namespace sallyport::cli
