#include "deploy/sandbox/wire.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <sstream>

namespace sallyport::sandbox {
namespace {

constexpr const char* socket_prefix = "sallyport-sandbox/";

void put(std::string& to, uint32_t number) {
  to.append(reinterpret_cast<const char*>(&number), sizeof number);
}

uint32_t number_at(const std::string& bytes, std::size_t at) {
  uint32_t number;
  std::memcpy(&number, bytes.data() + at, sizeof number);
  return number;
}

std::string encode(const Frame& frame) {
  std::string body;
  for (const std::string& text : frame) {
    put(body, static_cast<uint32_t>(text.size()));
    body += text;
  }
  std::string bytes;
  put(bytes, static_cast<uint32_t>(body.size()));
  return bytes + body;
}

socklen_t fill(sockaddr_un& address, const std::string& name) {
  address.sun_family = AF_UNIX;
  const std::string path = socket_prefix + name;
  std::memcpy(address.sun_path + 1, path.data(), path.size());
  return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + path.size());
}

void take_fds(msghdr& message, std::vector<UniqueFd>* fds) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      UniqueFd owned(fd);
      if (fds) fds->push_back(std::move(owned));
    }
  }
}

bool receive_exactly(int socket, char* to, std::size_t count, std::vector<UniqueFd>* fds) {
  while (count > 0) {
    iovec part = {to, count};
    alignas(cmsghdr) char control[CMSG_SPACE(frame_fds_max * sizeof(int))];
    msghdr message = {.msg_iov = &part,
                      .msg_iovlen = 1,
                      .msg_control = control,
                      .msg_controllen = sizeof control};
    const ssize_t bytes = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) return false;
    take_fds(message, fds);
    to += bytes;
    count -= static_cast<std::size_t>(bytes);
  }
  return true;
}

}  // namespace

bool send_frame(int socket, const Frame& frame, const std::vector<int>& fds) {
  const std::string bytes = encode(frame);
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    iovec part = {const_cast<char*>(bytes.data()) + sent, bytes.size() - sent};
    msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    alignas(cmsghdr) char control[CMSG_SPACE(frame_fds_max * sizeof(int))] = {};
    if (sent == 0 && !fds.empty()) {
      message.msg_control = control;
      message.msg_controllen = CMSG_SPACE(fds.size() * sizeof(int));
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(fds.size() * sizeof(int));
      std::memcpy(CMSG_DATA(header), fds.data(), fds.size() * sizeof(int));
    }
    const ssize_t count = sendmsg(socket, &message, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    sent += static_cast<std::size_t>(count);
  }
  return true;
}

std::optional<Frame> take_frame(std::string& bytes, bool& broken) {
  if (bytes.size() < sizeof(uint32_t)) return {};
  const std::size_t length = number_at(bytes, 0);
  broken = length > frame_bytes_max;
  if (broken || bytes.size() < sizeof(uint32_t) + length) return {};
  Frame frame;
  const std::size_t end = sizeof(uint32_t) + length;
  for (std::size_t at = sizeof(uint32_t); at < end;) {
    broken = at + sizeof(uint32_t) > end || number_at(bytes, at) > end - at - sizeof(uint32_t);
    if (broken) return {};
    const std::size_t size = number_at(bytes, at);
    frame.push_back(bytes.substr(at + sizeof(uint32_t), size));
    at += sizeof(uint32_t) + size;
  }
  bytes.erase(0, end);
  return frame;
}

std::optional<Frame> receive_frame(int socket, std::vector<UniqueFd>* fds) {
  std::string bytes(sizeof(uint32_t), '\0');
  if (!receive_exactly(socket, bytes.data(), bytes.size(), fds)) return {};
  const std::size_t length = number_at(bytes, 0);
  if (length > frame_bytes_max) return {};
  bytes.resize(sizeof(uint32_t) + length);
  if (!receive_exactly(socket, bytes.data() + sizeof(uint32_t), length, fds)) return {};
  bool broken = false;
  return take_frame(bytes, broken);
}

Result<UniqueFd> listen_as(const std::string& name) {
  if (name.empty() || name.size() > 60 || name.find_first_of("/ \n") != std::string::npos) {
    return failure("a sandbox name has 1 to 60 characters without blank and slash");
  }
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address = {};
  const socklen_t length = fill(address, name);
  if (!fd || bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) {
    if (errno == EADDRINUSE) return failure("sandbox " + name + " is up already");
    return system_error("bind the control socket");
  }
  if (listen(fd.get(), 16) != 0) return system_error("listen on the control socket");
  return fd;
}

Result<UniqueFd> connect_to(const std::string& name) {
  if (name.size() > 60) return failure("no sandbox has so long a name");
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address = {};
  const socklen_t length = fill(address, name);
  if (!fd || connect(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) {
    return failure("sandbox " + name + " is not up");
  }
  return fd;
}

std::vector<std::string> running_sandboxes() {
  std::set<std::string> names;
  std::istringstream lines(read_file("/proc/net/unix"));
  const std::string mark = std::string("@") + socket_prefix;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t at = line.find(mark);
    if (at != std::string::npos) names.insert(line.substr(at + mark.size()));
  }
  return {names.begin(), names.end()};
}

}  // namespace sallyport::sandbox
