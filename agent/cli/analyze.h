// `sallyport analyze`: what is wrong with resources, each finding with its cause and its cure.
#pragma once

namespace sallyport::cli {

// Exit code: 0 nothing at or above the threshold, 79 (istioctl's) findings there, 1 nothing can be
// read, 2 wrong command line.
int run_analyze(int argc, char** argv);

}  // namespace sallyport::cli
