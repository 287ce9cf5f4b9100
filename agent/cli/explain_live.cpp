#include "agent/cli/explain_live.h"

#include <fcntl.h>
#include <netdb.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "agent/mesh/host_names.h"
#include "agent/upstream/identity.h"
#include "certs/describe.h"
#include "tls/client.h"

namespace sallyport::cli {
namespace {

using Clock = std::chrono::steady_clock;

// How long a server is given to refuse us after the handshake.
constexpr std::chrono::seconds objection_time{1};

// A connected socket that waits by poll().
class Line final : public tls::Transport {
public:
  explicit Line(Clock::time_point deadline) : deadline_(deadline) {}
  ~Line() {
    if (fd_ >= 0) ::close(fd_);
  }
  Line(const Line&) = delete;

  // Why it failed; empty: it is connected.
  std::string connect(const SocketAddress& to);
  bool wait(tls::Want want);  // false: the time is over
  void wait_until(Clock::time_point deadline) { deadline_ = deadline; }

  tls::IoStep transport_read(char* into, std::size_t size) override {
    return step(::recv(fd_, into, size, 0), tls::Want::read);
  }
  tls::IoStep transport_write(const char* from, std::size_t size) override {
    return step(::send(fd_, from, size, MSG_NOSIGNAL), tls::Want::write);
  }

private:
  static tls::IoStep step(ssize_t count, tls::Want again) {
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return {0, again};
    return {count, tls::Want::nothing};
  }
  int fd_ = -1;
  Clock::time_point deadline_;
};

bool Line::wait(tls::Want want) {
  pollfd entry{fd_, static_cast<short>(want == tls::Want::read ? POLLIN : POLLOUT), 0};
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline_ - Clock::now()).count();
    if (left <= 0) return false;
    const int ready = ::poll(&entry, 1, static_cast<int>(left));
    if (ready > 0) return true;
    if (ready < 0 && errno != EINTR) return false;
  }
}

std::string Line::connect(const SocketAddress& to) {
  sockaddr_storage storage{};
  const auto size = to.fill(storage);
  fd_ = ::socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return std::strerror(errno);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&storage), size) == 0) return {};
  if (errno != EINPROGRESS) return std::strerror(errno);
  if (!wait(tls::Want::write)) return "no answer in time";
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &length);
  return error ? std::strerror(error) : std::string();
}

struct Resolved {
  std::vector<SocketAddress> addresses;
  std::string problem;
};

Resolved resolve(const std::string& host, uint16_t port) {
  Resolved out;
  addrinfo hints{}, *found = nullptr;
  hints.ai_socktype = SOCK_STREAM;
  const int failed = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (failed) {
    out.problem = ::gai_strerror(failed);
    return out;
  }
  for (const auto* at = found; at; at = at->ai_next) {
    const auto address = SocketAddress::from(at->ai_addr);
    if (address.is_set()) out.addresses.emplace_back(address.ip(), port);
  }
  ::freeaddrinfo(found);
  if (out.addresses.empty()) out.problem = "no address";
  return out;
}

std::string listed(const std::vector<SocketAddress>& addresses) {
  std::string out;
  for (const auto& address : addresses) out += (out.empty() ? "" : ", ") + address.text();
  return out;
}

class Attempt {
public:
  Attempt(const mesh::ExplainedTarget& target, const certs::Vault& vault, const OwnIdentity& own)
      : target_(target), cluster_(*target.cluster), own_(own), vault_(with_identity(vault, own)) {}
  LiveResult run(const std::string& host, const SocketAddress& destination);

private:
  void add(std::string name, std::string text, bool good = true) {
    out_.steps.push_back({std::move(name), std::move(text), good});
  }
  struct Place {
    SocketAddress address;
    bool tls = false;
  };
  std::vector<Place> places(const std::string& host, const SocketAddress& destination);
  bool speaks_tls(const mesh::Endpoint* endpoint) const;
  // The own certificate is asked for and is not to be had here: its key is elsewhere.
  bool without_key() const { return needs_identity(cluster_) && !own_.pair.pair; }
  Result<tls::ClientSettings> settings() const;
  void shake_hands(Line& line);
  bool wants_only_our_certificate(SSL& ssl, const Error& error) const;
  void leave_out_certificate();
  void show(SSL& ssl);
  void await_answer(SSL& ssl, Line& line, tls::SessionSlot& tickets);
  void certificates(SSL& ssl);

  const mesh::ExplainedTarget& target_;
  const mesh::Cluster& cluster_;
  const OwnIdentity& own_;
  const certs::Vault vault_;
  LiveResult out_;
};

// `endpoint`: null: the dialled address.
bool Attempt::speaks_tls(const mesh::Endpoint* endpoint) const {
  const auto& tls = cluster_.tls;
  if (tls.mode != mesh::Originate::istio_mutual) return tls.of_rule();
  return !tls.automatic || (endpoint && endpoint->mesh_tls);
}

std::vector<Attempt::Place> Attempt::places(const std::string& host,
                                            const SocketAddress& destination) {
  std::vector<Place> out;
  const auto add_name = [&](const std::string& name, uint16_t port, bool tls) {
    const auto found = resolve(name, port);
    if (found.problem.empty()) {
      add("resolve", name + ": " + listed(found.addresses));
    } else {
      add("resolve", name + ": " + found.problem, false);
    }
    for (const auto& address : found.addresses) out.push_back({address, tls});
  };
  if (cluster_.discovery == mesh::Discovery::original_dst ||
      cluster_.discovery == mesh::Discovery::dynamic_dns) {
    const auto port = cluster_.original_dst_port ? cluster_.original_dst_port : destination.port();
    add_name(host, port, speaks_tls(nullptr));  // an address resolves to itself
    return out;
  }
  for (const auto& endpoint : cluster_.endpoints) {
    if (mesh::is_stand_in(endpoint.ip)) {
      add("resolve", "an endpoint has no address yet: the documents say none", false);
    } else if (!endpoint.by_name()) {
      out.push_back({endpoint.address(), speaks_tls(&endpoint)});
    } else if (!endpoint.host.empty()) {
      add_name(endpoint.host, endpoint.port, speaks_tls(&endpoint));
    }
  }
  return out;
}

LiveResult Attempt::run(const std::string& host, const SocketAddress& destination) {
  const auto all = places(host, destination);
  if (all.empty() && out_.good()) add("resolve", "no endpoint", false);
  for (const auto& place : all) {
    Line line(Clock::now() + cluster_.connect_timeout);
    if (const auto failed = line.connect(place.address); !failed.empty()) {
      add("connect", place.address.text() + ": " + failed, &place != &all.back());
      continue;
    }
    add("connect", place.address.text() + ": connected");
    if (place.tls) shake_hands(line);
    break;
  }
  return std::move(out_);
}

// As a worker has it, but for the certificate where its key is not to be had.
Result<tls::ClientSettings> Attempt::settings() const {
  mesh::HostRoom room;
  const auto host = mesh::host_key(target_.authority, room);
  const bool http = !target_.authority.empty();
  auto cluster = cluster_;
  const bool mesh = cluster.tls.mode == mesh::Originate::istio_mutual;
  if (without_key()) cluster.tls.mode = mesh::Originate::simple;
  const auto identity = upstream::make_identity(cluster, host, vault_, http);
  if (!identity) return identity.error();
  auto out = **identity;
  if (mesh) out.alpn = upstream::mesh_alpn(http);
  return out;
}

void Attempt::shake_hands(Line& line) {
  if (needs_identity(cluster_) && !own_.known) {
    return add("handshake",
               "not tried: neither files (--identity-cert, --identity-key, --identity-root) nor a "
               "running proxy (--admin) give the workload's identity: ask in its pod",
               false);
  }
  if (!own_.problem.empty() && needs_identity(cluster_))
    return add("handshake", own_.problem, false);
  const auto wanted = settings();
  if (!wanted) return add("handshake", wanted.error().context, false);
  tls::ClientContext context;
  tls::SessionSlot tickets;
  const auto ssl = context.open(*wanted, &tickets);
  if (!ssl) return add("handshake", ssl.error().context, false);
  tls::attach(**ssl, line);
  for (;;) {
    const auto step = tls::handshake_step(**ssl);
    if (step.want != tls::Want::nothing) {
      if (line.wait(step.want)) continue;
      return add("handshake", "no answer in time: perhaps the server speaks no TLS there", false);
    }
    if (step.bytes > 0) {
      show(**ssl);
      return without_key() ? leave_out_certificate() : await_answer(**ssl, line, tickets);
    }
    const auto error = tls::failure_of(**ssl, Side::upstream);
    certificates(**ssl);
    if (without_key() && wants_only_our_certificate(**ssl, error)) return leave_out_certificate();
    return add("handshake", error.context, false);
  }
}

// TLS 1.2: the server judges the missing certificate within the handshake, after we judged its own.
bool Attempt::wants_only_our_certificate(SSL& ssl, const Error& error) const {
  return error.fault == Fault::tls_handshake && SSL_get0_peer_certificate(&ssl) &&
         SSL_get_verify_result(&ssl) == X509_V_OK;
}

void Attempt::leave_out_certificate() {
  out_.partly = true;
  add("not tried",
      "our own certificate was not shown: its key is in the running proxy's memory alone. Whether "
      "the server takes it, a request through the proxy tells");
}

// With TLS 1.3 the handshake is over for us before the server has judged our certificate, or missed
// one: its ticket, alert or end comes after. RFC 8446 4.4.2.4, 4.6.1.
void Attempt::await_answer(SSL& ssl, Line& line, tls::SessionSlot& tickets) {
  if (tls::protocol_version(ssl) != "TLSv1.3") return;
  line.wait_until(Clock::now() + objection_time);
  for (;;) {
    char room[1024];
    const auto step = tls::read_step(ssl, room);
    if (tickets.take()) return add("answer", "the server takes us: it sent a session ticket");
    if (step.want != tls::Want::nothing) {
      if (line.wait(step.want)) continue;
      return add("answer", "the server has not objected within 1 s, nor sent anything");
    }
    if (step.bytes > 0) return add("answer", "the server takes us: it sent data");
    if (step.bytes == 0) {
      return add("answer", "the server closed the connection after the handshake", false);
    }
    return add("answer", tls::failure_of(ssl, Side::upstream).context, false);
  }
}

void Attempt::show(SSL& ssl) {
  add("handshake",
      std::string(tls::protocol_version(ssl)) + ", " + std::string(tls::cipher_name(ssl)));
  certificates(ssl);
  const auto& tls = cluster_.tls;
  if (tls.skip_verify) return add("verification", "not asked for (insecureSkipVerify)");
  add("verification", tls.names.empty() && !tls.auto_san
                          ? "the chain is good; no name was asked for"
                          : "chain and name are good");
}

// What the server presented, leaf first; nothing where it showed none.
void Attempt::certificates(SSL& ssl) {
  auto* chain = SSL_get_peer_cert_chain(&ssl);
  for (int i = 0; chain && i < sk_X509_num(chain); i++) {
    const auto info = certs::describe(*sk_X509_value(chain, i));
    std::string names;
    for (const auto* list : {&info.dns_names, &info.uris, &info.ips, &info.emails}) {
      for (const auto& name : *list) names += (names.empty() ? "" : ", ") + name;
    }
    std::string text = info.subject;
    // Istio's workload certificates have no subject.
    if (!names.empty()) text += (text.empty() ? "names " : "; names ") + names;
    text += "; issued by " + info.issuer + "; valid " + certs::date_text(info.not_before) + " to " +
            certs::date_text(info.not_after);
    add("presented", std::move(text));
  }
}

}  // namespace

std::optional<IpAddress> resolved(const std::string& host) {
  const auto found = resolve(host, 0);
  if (found.addresses.empty()) return std::nullopt;
  return found.addresses.front().ip();
}

LiveResult try_live(const mesh::ExplainedTarget& target, const certs::Vault& vault,
                    const OwnIdentity& own, const std::string& host,
                    const SocketAddress& destination) {
  if (!target.cluster || (!target.refused.empty() && !target.tls_inside_tls)) return {};
  return Attempt(target, vault, own).run(host, destination);
}

}  // namespace sallyport::cli
