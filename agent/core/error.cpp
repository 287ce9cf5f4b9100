#include "agent/core/error.h"

#include <cstdio>
#include <cstdlib>

namespace sallyport {

void throw_exception_from_error(const Error& error, const boost::source_location&) {
  std::fprintf(stderr, "sallyport: value() of an error: %s\n", error.context.c_str());
  std::abort();
}

}  // namespace sallyport
