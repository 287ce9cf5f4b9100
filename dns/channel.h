// c-ares on a worker's loop: one question, one callback. Its sockets are watched by Asio, its
// time-outs run on a timer. UDP first, TCP where an answer is truncated; answers with another id,
// question or source are not taken (c-ares). The servers are asked in their order; one that was
// silent while another answered is asked last until it answers, which is tried every
// ResolverOptions::server_retry.
//
// Threading: the loop's thread only. Ownership: destroying the channel forgets what is asked: no
// callback comes after.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "agent/core/error.h"
#include "agent/net/loop.h"
#include "dns/message.h"

namespace sallyport::dns {

struct ResolverOptions;

enum class Verdict : uint8_t { answered, no_data, no_such_name, timed_out, failed };

struct Outcome {
  Verdict verdict = Verdict::failed;
  Records records;     // with `answered`: at least one address
  std::string reason;  // otherwise: "NXDOMAIN", "the server refused", ...
  std::optional<std::chrono::seconds> denial_ttl;  // of no_data and no_such_name, where an SOA says
};

// What resolv.conf says of names that are not full ones.
struct Search {
  std::vector<std::string> domains;
  int ndots = 1;
};

class Channel {
public:
  // Errors: the resolver's configuration can't be used (names c-ares' reason).
  static Result<std::unique_ptr<Channel>> open(net::Loop& loop, const ResolverOptions& options);
  ~Channel();
  Channel(const Channel&) = delete;

  // `done` is called once, from the loop, never within ask().
  void ask(const std::string& host, Family family, std::function<void(Outcome)> done);
  // /etc/hosts (hostAliases of a pod); read on each call, a local file.
  std::vector<IpAddress> from_hosts_file(const std::string& host, Family family) const;
  const std::string& servers() const;  // "10.96.0.10:53, 10.96.0.11:53"
  const Search& search() const;

private:
  struct State;
  explicit Channel(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace sallyport::dns
