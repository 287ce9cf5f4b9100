// A listening socket whose queue is full drops every further SYN: a host that never answers.
#pragma once
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "agent/core/address.h"

namespace sallyport::test {

class FullListener {
public:
  explicit FullListener(SocketAddress at = {*IpAddress::parse("127.0.0.1"), 0}) {
    sockaddr_storage storage{};
    socklen_t size = at.fill(storage);
    fd_ = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    auto* const address = reinterpret_cast<sockaddr*>(&storage);
    if (bind(fd_, address, size) != 0 || listen(fd_, 0) != 0) std::abort();
    getsockname(fd_, address, &size);
    address_ = SocketAddress::from(address);
    for (int i = 0; i < 4; i++) {
      waiting_.push_back(socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
      (void)!::connect(waiting_.back(), address, size);
    }
  }
  ~FullListener() {
    for (const int client : waiting_) ::close(client);
    ::close(fd_);
  }
  FullListener(const FullListener&) = delete;
  const SocketAddress& address() const { return address_; }

private:
  int fd_ = -1;
  SocketAddress address_;
  std::vector<int> waiting_;
};

}  // namespace sallyport::test
