#include "agent/cli/gateway_listeners.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cerrno>
#include <cstring>
#include <set>

#include "agent/cli/listening.h"
#include "agent/istio/labels.h"
#include "agent/net/listener.h"
#include "agent/proxy/worker.h"

namespace sallyport::cli {
namespace {

constexpr auto next_try = std::chrono::seconds(5);

// Whose server it is, for messages.
std::string wanted_by(const mesh::GatewayListener& listener) {
  const mesh::GatewayChain* chain = listener.plain.get();
  if (!chain) chain = listener.any_tls.get();
  const auto& names = listener.by_sni;
  if (!chain && !names.exact.empty()) chain = names.exact.begin()->second.get();
  if (!chain && !names.suffix.empty()) chain = names.suffix.begin()->second.get();
  return chain ? text_at(chain->from, chain->line) : "";
}

struct Port {
  SocketAddress address;
  std::string by;
  bool clients_speak_first;
};
using Wanted = std::map<std::string, Port>;  // by the address

Wanted addresses_in(const mesh::GatewayPorts& ports) {
  Wanted out;
  const auto add = [&out](const SocketAddress& address, const mesh::GatewayListener& listener) {
    const bool clients_first = mesh::clients_speak_first(listener) && !address.is_unix();
    out.try_emplace(address.text(), Port{address, wanted_by(listener), clients_first});
  };
  for (const auto& [port, listener] : ports.by_port)
    for (const auto& address : everywhere(port)) add(address, *listener);
  for (const auto& [address, listener] : ports.by_address) add(address, *listener);
  return out;
}

struct Opened {
  SocketAddress address;
  bool clients_speak_first = false;
};

Result<int> same_socket(int fd) {
  const int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy >= 0) return copy;
  return Error{Fault::internal, Side::local, false, std::string("dup: ") + strerror(errno), {}};
}

}  // namespace

struct GatewayListeners::State {
  State(boost::asio::io_context& io, const std::vector<std::unique_ptr<proxy::Worker>>& all,
        const istio::Proxy& own, Log to)
      : workers(all), proxy(own), log(std::move(to)), timer(io) {}

  Result<void> open(const SocketAddress& address);
  void follow_changes();
  void try_all();
  void close_unwanted();
  void tell_of_nothing();
  void tell(const std::string& address, const std::string& problem);
  void await_next_try();

  const std::vector<std::unique_ptr<proxy::Worker>>& workers;
  const istio::Proxy& proxy;
  Log log;
  boost::asio::steady_timer timer;
  Wanted wanted;
  std::map<std::string, Opened> opened;
  std::map<std::string, std::string> problems;  // by the address
  bool told_of_nothing = false;
  bool stopped = false;
  std::shared_ptr<int> alive = std::make_shared<int>();
};

// One a worker, or none. A unix socket is the same for all: whoever comes first accepts.
Result<void> GatewayListeners::State::open(const SocketAddress& address) {
  std::vector<int> sockets;
  for (std::size_t i = 0; i < workers.size(); i++) {
    const bool shared = address.is_unix() && i > 0;
    auto fd = shared ? same_socket(sockets.front()) : net::open_listening_socket(address);
    if (!fd) {
      for (const int one : sockets) ::close(one);
      return fd.error();
    }
    sockets.push_back(*fd);
  }
  for (std::size_t i = 0; i < workers.size(); i++) workers[i]->listen(sockets[i], address);
  return {};
}

// Else a selector that is spelt wrong looks like a gateway that is well.
void GatewayListeners::State::tell_of_nothing() {
  const bool nothing = proxy.type == istio::Proxy::Type::router && wanted.empty();
  if (nothing && !told_of_nothing)
    log.warn("nothing is listened on: no server of a Gateway is for this pod (labels " +
             (proxy.labels.empty() ? "none" : istio::text_of(proxy.labels)) + ", namespace " +
             proxy.namespace_name + ")");
  told_of_nothing = nothing;
}

void GatewayListeners::State::tell(const std::string& address, const std::string& problem) {
  auto& told = problems[address];
  if (told == problem) return;
  told = problem;
  log.warn(problem);
}

void GatewayListeners::State::try_all() {
  bool failed = false;
  for (const auto& [text, entry] : wanted) {
    if (opened.contains(text)) continue;
    const auto& [address, by, clients_first] = entry;
    if (const auto done = open(address); !done) {
      failed = true;
      tell(text, done.error().context + (by.empty() ? "" : "; wanted by " + by));
      continue;
    }
    problems.erase(text);
    opened.emplace(text, Opened{address});
    log.info("listening on " + text + (by.empty() ? "" : " for " + by));
  }
  follow_changes();
  if (failed) await_next_try();
}

void GatewayListeners::State::follow_changes() {
  for (auto& [text, one] : opened) {
    const auto now = wanted.find(text);
    if (now == wanted.end() || now->second.clients_speak_first == one.clients_speak_first) continue;
    one.clients_speak_first = now->second.clients_speak_first;
    for (const auto& worker : workers)
      worker->await_first_bytes(one.address, one.clients_speak_first);
  }
}

void GatewayListeners::State::close_unwanted() {
  for (auto at = opened.begin(); at != opened.end();) {
    if (wanted.contains(at->first)) {
      ++at;
      continue;
    }
    for (const auto& worker : workers) worker->stop_listening(at->second.address);
    net::remove_socket_file(at->second.address);
    log.info("no longer listening on " + at->first);
    at = opened.erase(at);
  }
  std::erase_if(problems, [this](const auto& entry) { return !wanted.contains(entry.first); });
}

void GatewayListeners::State::await_next_try() {
  timer.expires_after(next_try);
  timer.async_wait([this, guard = std::weak_ptr<int>(alive)](boost::system::error_code error) {
    if (!error && !guard.expired() && !stopped) try_all();
  });
}

GatewayListeners::GatewayListeners(boost::asio::io_context& io,
                                   const std::vector<std::unique_ptr<proxy::Worker>>& workers,
                                   const istio::Proxy& proxy, Log log)
    : state_(std::make_unique<State>(io, workers, proxy, std::move(log))) {}
GatewayListeners::~GatewayListeners() = default;

void GatewayListeners::follow(const mesh::Snapshot& config) {
  if (state_->stopped) return;
  state_->wanted = addresses_in(config.gateway);
  state_->tell_of_nothing();
  state_->timer.cancel();
  state_->try_all();  // first: a server that moves from every address to one is there all along
  state_->close_unwanted();
}

void GatewayListeners::stop() {
  state_->stopped = true;
  state_->timer.cancel();
}

std::vector<std::string> GatewayListeners::problems() const {
  std::vector<std::string> out;
  for (const auto& [address, problem] : state_->problems) out.push_back(problem);
  return out;
}

}  // namespace sallyport::cli
