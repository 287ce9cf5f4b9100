// The control protocol between a supervisor and its clients: frames of texts over a Unix stream
// socket, descriptors by SCM_RIGHTS. A frame is a 32-bit length and then each text as 32-bit length
// and bytes, in the machine's byte order.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "deploy/sandbox/process.h"

namespace sallyport::sandbox {

inline constexpr std::size_t frame_bytes_max = 64 * 1024 * 1024;
inline constexpr std::size_t frame_fds_max = 8;

using Frame = std::vector<std::string>;

// Blocks until sent (or the socket's send timeout).
bool send_frame(int socket, const Frame& frame, const std::vector<int>& fds = {});

// Blocks for one frame. Nothing: the peer is gone or breaks the protocol.
std::optional<Frame> receive_frame(int socket, std::vector<UniqueFd>* fds = nullptr);

// Takes one whole frame off the front of `bytes`. Nothing: not there yet. `broken` is set when it
// never will be.
std::optional<Frame> take_frame(std::string& bytes, bool& broken);

// The listening socket of the sandbox `name`, or a connection to it: in the abstract namespace, so
// that nothing lies in the file system and the name is free again the moment the supervisor is
// dead.
Result<UniqueFd> listen_as(const std::string& name);
Result<UniqueFd> connect_to(const std::string& name);
std::vector<std::string> running_sandboxes();  // names, sorted

}  // namespace sallyport::sandbox
