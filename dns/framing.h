// DNS messages on a stream, each behind its length (RFC 1035 4.2.2).
#pragma once
#include <optional>
#include <string>

#include "agent/net/stream.h"
#include "agent/net/task.h"

namespace sallyport::dns {

// The next message of `from`, by its deadline. nullopt: it ended or failed, or the message is
// longer than `most` bytes.
net::Task<std::optional<std::string>> read_message(net::Stream& from, std::size_t most);

// REQUIRES: at most 65,535 bytes.
std::string with_length(std::string message);

}  // namespace sallyport::dns
