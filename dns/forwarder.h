// Questions that the mesh has no answer to go to the pod's own servers (resolv.conf, read again
// when it changes), in an order that differs from one question to the next as istio-agent's does. A
// server that is silent is not waited for alone: after limits::dns_proxy_try the next is asked, the
// same one again where there is no other, and the first good response counts, late ones included.
//
// Threading: one a worker, its thread only.
// Limits: limits::dns_proxy_queries at once.
#pragma once
#include <chrono>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "agent/core/limits.h"
#include "agent/net/loop.h"
#include "dns/file_watch.h"
#include "dns/question.h"
#include "dns/reports.h"
#include "dns/resolv_conf.h"

namespace sallyport::dns {

class Race;

struct ForwarderOptions {
  std::vector<SocketAddress> servers = {};  // empty: those of resolv.conf
  std::string resolv_conf = "/etc/resolv.conf";
  std::vector<SocketAddress> own = {};  // the proxy's: not asked, should resolv.conf name them
  bool parallel = false;                // DNS_FORWARD_PARALLEL: all servers at once
  std::chrono::milliseconds time = limits::dns_proxy_time;  // of one question, in all
  // Told what an operator should know, at most limits::dns_log_lines times a minute. May be empty.
  std::function<void(const std::string&)> warn = {};
};

class Forwarder {
public:
  Forwarder(net::Loop& loop, ForwarderOptions options);
  Forwarder(const Forwarder&) = delete;

  // A server's response, with an id of ours; it may say that the server failed. Empty: there was
  // none in time, no server is known, or too many questions are under way.
  // `query`: the whole message, of which `question` was read. `tcp`: asked by TCP.
  net::Task<std::string> ask(std::string query, Question question, bool tcp);
  // Another one when resolv.conf has changed: what other servers said holds no longer.
  uint64_t version();
  // The first of resolv.conf's search list; empty: none.
  const std::string& search_domain();

private:
  net::Task<void> run(std::shared_ptr<Race> race);
  const std::vector<SocketAddress>& servers();
  void follow_file();
  void read_file();

  net::Loop& loop_;
  const ForwarderOptions options_;
  FileWatch file_;
  net::Loop::Clock::time_point looked_at_file_;
  ResolvConf conf_;
  std::string search_domain_;
  Reports reports_;
  std::size_t under_way_ = 0;
  uint64_t version_ = 0;
  std::minstd_rand order_{std::random_device()()};  // which server is a question's first
};

}  // namespace sallyport::dns
