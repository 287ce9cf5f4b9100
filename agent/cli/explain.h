// `sallyport explain`: where a request would go, how, and because of which lines.
#pragma once

namespace sallyport::cli {

// Exit code: 0 it goes through, 1 it would be refused (or nothing can be read), 2 wrong command
// line.
int run_explain(int argc, char** argv);

}  // namespace sallyport::cli
