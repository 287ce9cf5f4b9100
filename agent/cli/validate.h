// `sallyport validate`: would this configuration hold?
#pragma once

namespace sallyport::cli {

// argv[0] is the subcommand's name. Returns the exit code: 0 good (perhaps with warnings), 1 an
// error was found or something can't be read, 2 wrong command line.
int run_validate(int argc, char** argv);

}  // namespace sallyport::cli
