#include "agent/proxy/worker.h"

#include <random>

#include "agent/core/wall_clock.h"
#include "agent/proxy/gateway.h"
#include "agent/proxy/inbound.h"
#include "agent/proxy/outbound.h"

namespace sallyport::proxy {

namespace {

upstream::OwnPorts own_ports(const mesh::SnapshotPtr& snapshot) {
  upstream::OwnPorts own;
  if (!snapshot) return own;
  own.ports = {snapshot->mesh.proxy_listen_port, snapshot->mesh.proxy_inbound_listen_port};
  for (const std::string& text : snapshot->proxy.addresses) {
    if (const auto ip = IpAddress::parse(text)) own.addresses.push_back(*ip);
  }
  return own;
}

}  // namespace

Worker::Worker(const Sources& sources, const Sockets& sockets, dns::ResolverOptions dns)
    : metrics_(sources.metrics),
      log_(sources.access_log.writer()),
      published_(sources.snapshots),
      snapshots_(sources.snapshots),
      header_values_(dns.warn),
      mesh_tls_(sources.vault),
      gateway_tls_(sources.vault),
      resolver_(loop_, std::move(dns)),
      upstreams_({loop_, resolver_, sources.vault, sources.metrics,
                  own_ports(sources.snapshots.current())}),
      random_state_(std::random_device{}() | 1) {
  const auto& addresses = snapshot()->proxy.addresses;
  if (!addresses.empty()) own_address_ = IpAddress::parse(addresses.front()).value_or(IpAddress());
  tick_ = loop_.each_tick([this] {
    kept_.look_again(*this);  // Takes the newest snapshot: without a client for hours, too.
    if (const auto& newest = snapshot(); newest->version != seen_version_) {
      seen_version_ = newest->version;
      gateway_tls_.keep_only(newest->gateway);
      standard_metrics_.follow(*newest);  // which lets go of clusters that are gone
    }
    tcp_meters_.tick(*this);
    log_->flush();
  });
  for (const int fd : sockets.outbound) outbound_listeners_.push_back(listener(fd, Door::outbound));
  for (const int fd : sockets.inbound) inbound_listeners_.push_back(listener(fd, Door::inbound));
}

std::unique_ptr<net::Listener> Worker::listener(int fd, Door door) {
  return std::make_unique<net::Listener>(
      loop_, fd, [this, door](net::Stream client) { accepted(std::move(client), door); },
      [this] { metrics_.descriptors_starved.add(); });
}

Worker::~Worker() {
  inbound_listeners_.clear();
  outbound_listeners_.clear();
  gateway_listeners_.clear();
  tick_.reset();
  loop_.end_tasks();  // Connections use upstreams_ and log_, which are destroyed before loop_.
  log_->flush();
}

// Marsaglia's xorshift64*.
uint32_t Worker::random() {
  random_state_ ^= random_state_ >> 12;
  random_state_ ^= random_state_ << 25;
  random_state_ ^= random_state_ >> 27;
  return static_cast<uint32_t>((random_state_ * 0x2545f4914f6cdd1dULL) >> 32);
}

void Worker::learn(observe::EgressTable::AskOwner ask) {
  egress_ = std::make_unique<observe::EgressTable>(std::move(ask), wall_clock_us());
}

void Worker::answer_dns(dns::ProxySockets sockets, dns::ForwarderOptions options) {
  dns_proxy_ =
      std::make_unique<dns::Proxy>(dns::Proxy::Sources{loop_, published_, metrics_, egress_.get()},
                                   std::move(sockets), std::move(options));
}

void Worker::run() { loop_.run(); }

void Worker::stop() { loop_.stop(); }

void Worker::post(std::function<void()> job) { loop_.post(std::move(job)); }

void Worker::drain(const Drain& what) {
  post([this, what] {
    draining_inbound_ = true;
    stopped_accepting_ |= what.stop_accepting;
    if (what.stop_accepting) inbound_listeners_.clear();
    if (what.stop_accepting) gateway_listeners_.clear();
    if (what.inbound_only) return;
    draining_outbound_ = true;
    if (what.stop_accepting) outbound_listeners_.clear();
    upstreams_.drain();
  });
}

void Worker::count(const mesh::AuthorizationAnswer& answer) {
  (answer.allowed ? metrics_.rbac_allowed : metrics_.rbac_denied).add();
  if (!answer.dry_run.empty()) metrics_.rbac_shadow_denied.add();
}

void Worker::listen(int listening_fd, const SocketAddress& at) {
  post([this, listening_fd, at] {
    auto made = listener(listening_fd, Door::gateway);
    if (!stopped_accepting_) gateway_listeners_[at] = std::move(made);
  });
}

void Worker::stop_listening(const SocketAddress& at) {
  post([this, at] { gateway_listeners_.erase(at); });
}

void Worker::await_first_bytes(const SocketAddress& at, bool wanted) {
  post([this, at, wanted] {
    if (const auto found = gateway_listeners_.find(at); found != gateway_listeners_.end())
      found->second->await_first_bytes(wanted);
  });
}

void Worker::accepted(net::Stream client, Door door) {
  if (loop_.spawned() >= limits::connections_per_worker) {
    metrics_.descriptors_starved.add();
    return client.abort();
  }
  switch (door) {
    case Door::outbound:
      return loop_.spawn(serve_outbound(std::move(client), *this));
    case Door::inbound:
      return loop_.spawn(serve_inbound(std::move(client), *this));
    case Door::gateway:
      return loop_.spawn(serve_gateway(std::move(client), *this));
  }
}

}  // namespace sallyport::proxy
