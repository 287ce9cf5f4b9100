// What was read from a peer and is not used up yet. Holds one recycled buffer while there are bytes
// in it, and a longer one of its own only for a message head that does not fit; an idle
// connection's inbox is a few words.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "agent/core/limits.h"
#include "agent/net/buffers.h"

namespace sallyport::proxy {

class Inbox {
public:
  static constexpr std::size_t most = limits::http_head_bytes;

  std::string_view bytes() const { return {data() + begin_, std::size_t(end_ - begin_)}; }
  char* front() { return data() + begin_; }  // bytes(), to be written over
  bool empty() const { return begin_ == end_; }

  // Free room behind the bytes; more memory is taken when there is none. Empty: `most` bytes are in
  // it. Bytes may move.
  std::span<char> room() {
    if (!lease_ && !grown_) lease_ = net::Buffers::take();
    if (begin_ && begin_ == end_) begin_ = end_ = 0;
    if (end_ == capacity() && begin_) move_to_front();
    if (end_ == capacity() && capacity() < most) grow();
    return {data() + end_, capacity() - end_};
  }
  void filled(std::size_t count) { end_ += uint32_t(count); }
  void consume(std::size_t count) { begin_ += uint32_t(count); }

  // Puts bytes that were read elsewhere behind those that are here. REQUIRES: they fit into `most`.
  void append(std::string_view more) {
    while (!more.empty()) {
      const auto to = room();
      const auto part = std::min(to.size(), more.size());
      std::memcpy(to.data(), more.data(), part);
      filled(part);
      more.remove_prefix(part);
    }
  }
  // Gives the memory back. REQUIRES: empty().
  void release() {
    lease_.reset();
    grown_.reset();
    begin_ = end_ = 0;
  }

private:
  char* data() const { return grown_ ? grown_.get() : lease_.get(); }
  std::size_t capacity() const { return grown_ ? most : lease_ ? net::Buffers::size : 0; }
  void move_to_front() {
    std::memmove(data(), data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  void grow() {
    std::unique_ptr<char[]> wider(new char[most]);
    std::memcpy(wider.get(), data(), end_);
    grown_ = std::move(wider);
    lease_.reset();
  }

  net::Buffers::Lease lease_;
  std::unique_ptr<char[]> grown_;
  uint32_t begin_ = 0, end_ = 0;
};

}  // namespace sallyport::proxy
