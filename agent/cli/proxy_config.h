// `sallyport proxy-config` (`pc`): what the proxy of this pod has, in istioctl's words and columns.
#pragma once

namespace sallyport::cli {

// argv[0] is the subcommand's name. Returns the exit code: 0 printed, 1 it could not be had (no
// proxy answers, no such file, no dump), 2 wrong command line.
int run_proxy_config(int argc, char** argv);

}  // namespace sallyport::cli
