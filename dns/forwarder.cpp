#include "dns/forwarder.h"

#include <algorithm>

#include "agent/net/combine.h"
#include "dns/race.h"

namespace sallyport::dns {
namespace {

// A server is asked so often, or all of them once where there are more.
constexpr std::size_t tries = 3;

struct UnderWay {
  explicit UnderWay(std::size_t& of) : count(of) { count++; }
  ~UnderWay() { count--; }
  UnderWay(const UnderWay&) = delete;
  std::size_t& count;
};

std::string list_of(const std::vector<SocketAddress>& servers) {
  std::string out;
  for (const auto& server : servers) out += (out.empty() ? "" : ", ") + server.text();
  return out;
}

}  // namespace

Forwarder::Forwarder(net::Loop& loop, ForwarderOptions options)
    : loop_(loop),
      options_(std::move(options)),
      file_(options_.resolv_conf),
      looked_at_file_(loop.now()),
      reports_(options_.warn) {
  read_file();
}

void Forwarder::read_file() {
  auto read = read_resolv_conf(options_.resolv_conf);
  if (!read) {
    return reports_.say("DNS proxy: " + read.error().context + "; names outside the mesh fail",
                        loop_.now());
  }
  conf_ = std::move(*read);
  version_++;
  search_domain_ = conf_.search.empty() ? "" : conf_.search.front();
  if (conf_.servers.empty() && options_.servers.empty()) {
    reports_.say(
        "DNS proxy: " + options_.resolv_conf + " names no server; names outside the mesh fail",
        loop_.now());
  }
}

void Forwarder::follow_file() {
  if (loop_.now() - looked_at_file_ < limits::resolv_conf_recheck) return;
  looked_at_file_ = loop_.now();
  if (file_.changed()) read_file();
}

uint64_t Forwarder::version() {
  follow_file();
  return version_;
}

const std::string& Forwarder::search_domain() {
  follow_file();
  return search_domain_;
}

const std::vector<SocketAddress>& Forwarder::servers() {
  follow_file();
  return options_.servers.empty() ? conf_.servers : options_.servers;
}

net::Task<std::string> Forwarder::ask(std::string query, Question question, bool tcp) {
  if (under_way_ >= limits::dns_proxy_queries) {
    reports_.say("DNS proxy: " + std::to_string(under_way_) +
                     " questions wait for the servers: more are answered SERVFAIL",
                 loop_.now());
    co_return std::string();
  }
  const UnderWay counted(under_way_);
  const auto race = std::make_shared<Race>(loop_, std::move(query), question, tcp);
  co_await net::with_deadline(loop_, options_.time, run(race));
  race->end();
  std::string response = race->take_response();
  if (response.empty() && !servers().empty())
    reports_.say("DNS proxy: no answer from " + list_of(servers()), loop_.now());
  co_return response;
}

// Until the race is won, or nobody is left who may know better: who has responded is not asked
// again.
net::Task<void> Forwarder::run(std::shared_ptr<Race> race) {
  auto order = servers();
  std::erase_if(order, [this](const SocketAddress& one) {
    return std::find(options_.own.begin(), options_.own.end(), one) != options_.own.end();
  });
  if (order.empty()) co_return;
  std::rotate(order.begin(), order.begin() + std::ptrdiff_t(order_() % order.size()), order.end());
  const std::size_t attempts = std::max(tries, order.size());
  for (std::size_t i = 0; i < attempts && !race->won(); i++) {
    if (race->has_responded(order[i % order.size()])) continue;
    loop_.spawn(Race::ask(race, order[i % order.size()], options_.time));
    const bool at_once = options_.parallel && i + 1 < order.size();
    if (at_once || race->won() || race->running() == 0) continue;
    co_await net::with_deadline(loop_, limits::dns_proxy_try, Race::news(race));
  }
  while (!race->won() && race->running() > 0) {
    // With something to tell the client who is silent is waited for a little longer only.
    if (!race->has_response()) {
      co_await Race::news(race);
    } else if (!co_await net::with_deadline(loop_, limits::dns_proxy_try, Race::news(race))) {
      co_return;
    }
  }
}

}  // namespace sallyport::dns
