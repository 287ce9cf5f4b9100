// Empty pipes of one thread for splice(2), recycled LIFO.
#pragma once
#include <cstddef>
#include <utility>

namespace sallyport::net {

class Pipe {
public:
  static constexpr int capacity =
      256 * 1024;  // asked for; the kernel gives less to a user who has many
  static constexpr std::size_t kept = 64;  // free ones a thread keeps: two descriptors each
  Pipe() = default;
  static Pipe take();  // unset when no descriptors are left
  Pipe(Pipe&& other) noexcept
      : read_(std::exchange(other.read_, -1)), write_(std::exchange(other.write_, -1)) {}
  Pipe& operator=(Pipe&& other) noexcept {
    std::swap(read_, other.read_);
    std::swap(write_, other.write_);
    return *this;
  }
  ~Pipe() { close(); }  // Bytes may be stuck in it: it is not used again.
  void give_back();     // REQUIRES: empty.
  explicit operator bool() const { return read_ >= 0; }
  int read_end() const { return read_; }
  int write_end() const { return write_; }

private:
  void close();
  int read_ = -1, write_ = -1;
};

}  // namespace sallyport::net
