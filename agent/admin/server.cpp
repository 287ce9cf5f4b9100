#include "agent/admin/server.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/steady_timer.hpp>
#include <set>

#include "agent/admin/connection.h"
#include "agent/admin/status.h"
#include "agent/core/limits.h"
#include "agent/mesh/name_table.h"

namespace sallyport::admin {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

constexpr auto pause_when_starved = std::chrono::milliseconds(250);

tcp::endpoint endpoint_of(const SocketAddress& address) {
  if (address.ip().is_v4()) {
    asio::ip::address_v4::bytes_type bytes;
    std::memcpy(bytes.data(), address.ip().bytes(), bytes.size());
    return {asio::ip::address_v4(bytes), address.port()};
  }
  asio::ip::address_v6::bytes_type bytes;
  std::memcpy(bytes.data(), address.ip().bytes(), bytes.size());
  return {asio::ip::address_v6(bytes), address.port()};
}

// A listening port and its connections. Handlers hold it; close() lets it end.
class Port : public std::enable_shared_from_this<Port> {
public:
  Port(asio::io_context& io, std::chrono::milliseconds head_time, Connection::Answer answer)
      : io_(io), acceptor_(io), pause_(io), head_time_(head_time), answer_(std::move(answer)) {}

  Result<void> open(const SocketAddress& at);
  SocketAddress address() const;
  void accept();
  void close();

private:
  using Connections = std::set<std::shared_ptr<Connection>>;
  void accepted(error_code error, tcp::socket socket);
  bool full() const { return connections_.size() >= limits::admin_connections; }
  Connections::iterator idlest();

  asio::io_context& io_;
  tcp::acceptor acceptor_;
  asio::steady_timer pause_;
  std::chrono::milliseconds head_time_;
  Connection::Answer answer_;
  Connections connections_;
  bool accepting_ = false, closed_ = false;
};

Result<void> Port::open(const SocketAddress& at) {
  const tcp::endpoint endpoint = endpoint_of(at);
  error_code error;
  acceptor_.open(endpoint.protocol(), error);
  if (!error) acceptor_.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error && at.ip().is_v6()) acceptor_.set_option(asio::ip::v6_only(true), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(tcp::acceptor::max_listen_connections, error);
  if (error) {
    return Error{
        Fault::internal, Side::local, false, "listen on " + at.text() + ": " + error.message(), {}};
  }
  return {};
}

SocketAddress Port::address() const {
  error_code ignored;
  return SocketAddress::from(acceptor_.local_endpoint(ignored).data());
}

// Of those that wait for their client the one that does so the longest, to go for a newcomer: 64
// silent connections must not fail kubelet's probes. A client that does not send goes before one
// that does not take its answer.
Port::Connections::iterator Port::idlest() {
  auto found = connections_.end();
  for (auto at = connections_.begin(); at != connections_.end(); ++at) {
    if ((*at)->doing() == Connection::Doing::answering) continue;
    if (found == connections_.end() ||
        std::pair((*at)->doing(), (*at)->since()) < std::pair((*found)->doing(), (*found)->since()))
      found = at;
  }
  return found;
}

void Port::accept() {
  if (closed_ || accepting_) return;
  if (full() && idlest() == connections_.end()) return;
  accepting_ = true;
  acceptor_.async_accept([self = shared_from_this()](error_code error, tcp::socket socket) {
    self->accepting_ = false;
    if (!self->closed_) self->accepted(error, std::move(socket));
  });
}

void Port::accepted(error_code error, tcp::socket socket) {
  if (error) {  // No descriptors left: try again in a while rather than spin.
    pause_.expires_after(pause_when_starved);
    pause_.async_wait([weak = weak_from_this()](error_code cancelled) {
      const auto self = weak.lock();
      if (self && !cancelled) self->accept();
    });
    return;
  }
  if (full()) {
    const auto leaving = idlest();
    if (leaving == connections_.end()) return;  // the newcomer goes; accept() follows an end
    connections_.extract(leaving).value()->close();
  }
  // Both look the port up again: either may outlive it.
  auto slot = std::make_shared<std::weak_ptr<Connection>>();
  const bool v6 = socket.local_endpoint(error).protocol() == tcp::v6();
  const int fd = socket.release(error);
  auto connection = serve(io_, fd, v6, head_time_, answer_, [weak = weak_from_this(), slot] {
    const auto self = weak.lock();
    const auto ended = slot->lock();
    if (!self || !ended) return;
    self->connections_.erase(ended);
    self->accept();
  });
  *slot = connection;
  connections_.insert(std::move(connection));
  accept();
}

void Port::close() {
  closed_ = true;
  error_code ignored;
  acceptor_.close(ignored);
  pause_.cancel();
  for (const auto& connection : std::exchange(connections_, {})) connection->close();
}

}  // namespace

struct Server::State {
  State(asio::io_context& on, Sources sources) : io(on) {
    Prober prober(io, sources.probes, sources.probe_options, {sources.log, sources.warn});
    AppMetrics app_metrics(io, sources.scrape_targets, sources.warn);
    const StatusActions actions{
        sources.drain_agent, sources.quit, [&snapshots = sources.config.snapshots()] {
          const auto snapshot = snapshots.current();
          return snapshot->names ? mesh::names_as_json(*snapshot->names) : std::string();
        }};
    pages = std::make_shared<Pages>(std::move(sources));
    status =
        std::make_shared<StatusPages>(pages, std::move(prober), std::move(app_metrics), actions);
  }
  ~State() {
    for (const auto* group : {&admin_ports, &health_ports, &status_ports, &metrics_ports}) {
      for (const auto& port : *group) port->close();
    }
  }
  using Group = std::vector<std::shared_ptr<Port>>;
  Result<void> open(Group& group, const std::vector<SocketAddress>& addresses,
                    std::chrono::milliseconds head_time, const Connection::Answer& answer) {
    for (const SocketAddress& at : addresses) {
      group.push_back(std::make_shared<Port>(io, head_time, answer));
      if (auto opened = group.back()->open(at); !opened) return opened;
      group.back()->accept();
    }
    return {};
  }

  asio::io_context& io;
  std::shared_ptr<Pages> pages;
  std::shared_ptr<StatusPages> status;
  Group admin_ports, health_ports, status_ports, metrics_ports;
};

Server::Server(std::unique_ptr<State> state) : state_(std::move(state)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::start(asio::io_context& io, const Ports& ports,
                                              Sources sources) {
  auto state = std::make_unique<State>(io, std::move(sources));
  const auto pages = state->pages;
  const auto status = state->status;
  auto opened = state->open(
      state->admin_ports, {ports.admin}, limits::admin_idle,
      [pages](const Request& request, const Done& done) { pages->answer(request, done); });
  if (!opened) return opened.error();
  opened = state->open(
      state->health_ports, ports.health, network_head_time,
      [pages](const Request& request, const Done& done) { done(pages->answer_health(request)); });
  if (!opened) return opened.error();
  opened = state->open(
      state->status_ports, ports.status, network_head_time,
      [status](const Request& request, const Done& done) { status->answer(request, done); });
  if (!opened) return opened.error();
  opened = state->open(
      state->metrics_ports, ports.metrics, network_head_time,
      [pages](const Request& request, const Done& done) { done(pages->answer_metrics(request)); });
  if (!opened) return opened.error();
  return std::unique_ptr<Server>(new Server(std::move(state)));
}

Ports Server::ports() const {
  const auto addresses = [](const State::Group& group) {
    std::vector<SocketAddress> all;
    for (const auto& port : group) all.push_back(port->address());
    return all;
  };
  return {addresses(state_->admin_ports).front(), addresses(state_->health_ports),
          addresses(state_->status_ports), addresses(state_->metrics_ports)};
}

}  // namespace sallyport::admin
