// A file descriptor that is closed with its holder. Internal to the module.
#pragma once
#include <unistd.h>

#include <utility>

namespace sallyport::rules {

class Descriptor {
public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    set(std::exchange(other.fd_, -1));
    return *this;
  }
  int get() const { return fd_; }  // -1: none
  void set(int fd) {
    close();
    fd_ = fd;
  }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

private:
  int fd_ = -1;
};

}  // namespace sallyport::rules
