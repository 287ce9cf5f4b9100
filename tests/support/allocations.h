// How often the calling thread has allocated: counted where count_allocations.h is in the program.
#pragma once
#include <cstdint>

namespace sallyport::test {
inline thread_local uint64_t allocations = 0;
}
