// Whose a connection of the application is, on a thread of its own: looking through /proc takes
// long where there are many processes.
//
// Threading: ask() from any thread; `answer` is called on the thread of its own.
#pragma once
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "agent/core/address.h"

namespace sallyport::cli {

// The name of a process that has the socket `inode` open, of those that this one may look into.
// Empty: none. `proc`: "/proc".
std::string process_with_socket(const std::string& proc, uint32_t inode);

class ProcessNames {
public:
  ProcessNames();
  ~ProcessNames();  // what is not answered yet never is
  ProcessNames(const ProcessNames&) = delete;

  struct Connection {
    uint8_t protocol;  // IPPROTO_TCP, IPPROTO_UDP
    SocketAddress source, destination;
  };
  // `answer` gets "curl", or "uid 1000" of a process that can't be looked into; it is not called
  // for a socket that is gone, nor when too many are asked for at once.
  void ask(const Connection& connection, std::function<void(const std::string&)> answer);

private:
  struct Asked {
    Connection connection;
    std::function<void(const std::string&)> answer;
  };
  void run();

  std::mutex mutex_;
  std::condition_variable came_;
  std::deque<Asked> asked_;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace sallyport::cli
