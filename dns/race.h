// One forwarded question and the servers that were asked it: the first good response counts.
//
// Threading: its worker's.
#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/net/stream.h"
#include "dns/question.h"
#include "dns/wait_list.h"

namespace sallyport::dns {

class Race {
public:
  // `query`: as the client sent it. `tcp`: it is asked by TCP.
  Race(net::Loop& on, std::string query, const Question& question, bool tcp)
      : loop_(on), query_(std::move(query)), question_(question), tcp_(tcp) {}
  Race(const Race&) = delete;

  // Asks one server; ends with its response, or when `time` or the race is over.
  static net::Task<void> ask(std::shared_ptr<Race> self, SocketAddress server,
                             std::chrono::milliseconds time);
  // Until a server that is being asked has answered or failed. REQUIRES: running() > 0.
  static net::Task<void> news(std::shared_ptr<Race> self);

  bool won() const { return !response_.empty(); }
  std::size_t running() const { return running_; }
  void end();  // nobody waits for servers any more
  // The response that won; else one that was cut, or of a server that could not answer (SERVFAIL,
  // REFUSED); else empty.
  std::string take_response();
  bool has_response() const { return won() || !cut_.empty() || !failure_.empty(); }
  bool has_responded(const SocketAddress& server) const;  // well or not

private:
  net::Task<std::string> ask_by_udp(SocketAddress server, std::chrono::milliseconds time);
  net::Task<std::string> ask_by_tcp(SocketAddress server, std::chrono::milliseconds time);
  struct Datagrams {
    int fd;
    uint16_t id;
    int forged = 0;  // that answer something else
  };
  std::optional<std::string> receive(Datagrams& from) const;
  void take(std::string response);

  net::Loop& loop_;
  const std::string query_;
  const Question question_;
  const bool tcp_;
  std::deque<net::Stream> streams_;  // of the attempts; they stay at their place
  std::string response_, cut_, failure_;
  std::vector<SocketAddress> responded_;
  std::size_t running_ = 0;
  bool over_ = false;
  WaitList news_;
};

}  // namespace sallyport::dns
