// Counts the system calls that net makes, by standing before libc's functions in this test program.
#pragma once
#include <cstddef>

namespace sallyport::net {

struct SystemCalls {
  int recv = 0, recv_in_vain = 0;  // in vain: EAGAIN
  int send = 0, send_in_vain = 0;  // send and sendmsg
  int splice = 0, epoll_ctl = 0, epoll_wait = 0, pipe = 0, shutdown = 0;
  int events = 0;            // that epoll_wait told of
  int epoll_wait_until = 0;  // with a timeout that has the kernel set a timer
};
extern thread_local SystemCalls system_calls;  // set it to {} before what shall be counted

// Bytes of operator new that are allocated now, in this test program.
std::size_t allocated_bytes();

}  // namespace sallyport::net
