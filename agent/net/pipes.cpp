#include "agent/net/pipes.h"

#include <fcntl.h>
#include <unistd.h>

#include <vector>

namespace sallyport::net {
namespace {
thread_local std::vector<Pipe> free_pipes;
}  // namespace

Pipe Pipe::take() {
  Pipe out;
  if (!free_pipes.empty()) {
    out = std::move(free_pipes.back());
    free_pipes.pop_back();
    return out;
  }
  int ends[2];
  if (pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return out;
  fcntl(ends[1], F_SETPIPE_SZ, capacity);  // A refusal leaves it at 64 KiB, which will do.
  out.read_ = ends[0];
  out.write_ = ends[1];
  return out;
}

void Pipe::give_back() {
  if (free_pipes.size() < kept) free_pipes.push_back(std::move(*this));
  close();
}

void Pipe::close() {
  if (read_ < 0) return;
  ::close(std::exchange(read_, -1));
  ::close(std::exchange(write_, -1));
}

}  // namespace sallyport::net
