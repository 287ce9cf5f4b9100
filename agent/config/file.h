// Whole files, read with a limit.
#pragma once
#include <cstddef>
#include <string>

#include "agent/core/error.h"

namespace sallyport::config {

// Regular files only (a FIFO never blocks us). The error's context is the reason alone: "Permission
// denied".
Result<std::string> read_file(const std::string& path, std::size_t bytes_max);

bool exists(const std::string& path);  // false, too, where it can't be told

// SHA-256: tells whether a text is the one seen before, without keeping a private key a second
// time.
std::string digest(std::string_view text);

}  // namespace sallyport::config
