// 16 KiB buffers of one thread, recycled LIFO. A connection holds one only while there are bytes in
// it.
#pragma once
#include <cstddef>
#include <memory>

namespace sallyport::net {

class Buffers {
public:
  static constexpr std::size_t size = 16 * 1024;
  static constexpr std::size_t kept = 256;  // free ones a thread keeps
  struct Return {
    void operator()(char* block) const noexcept { Buffers::give(block); }
  };
  using Lease = std::unique_ptr<char, Return>;
  static Lease take();

private:
  static void give(char* block) noexcept;
};

}  // namespace sallyport::net
