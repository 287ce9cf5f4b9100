// What reading and compiling leave behind in memory, given back once they are done.
#pragma once

namespace sallyport::config {

// The heap's unused pages, and the pages of program text and constants that are mapped (the kernel
// keeps them in its page cache and maps those that are used again, 64 KiB at a time). Most of what
// a sidecar's start and a load touch, parsers first of all, no connection ever touches. Any thread,
// while others run; costs each of them some minor page faults.
void give_back_memory();

}  // namespace sallyport::config
