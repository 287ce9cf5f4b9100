#include "certs/ca/grpc_server.h"

#include <openssl/ssl.h>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/v6_only.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <optional>
#include <vector>

#include "agent/core/limits.h"
#include "certs/ca/connection_room.h"
#include "certs/ca/server_connection.h"
#include "certs/ca/server_limits.h"
#include "certs/ca/transport_accept.h"
#include "certs/describe.h"

namespace sallyport::ca {

namespace asio = boost::asio;
using Tcp = asio::ip::tcp;

struct GrpcServer::State : std::enable_shared_from_this<State> {
  State(asio::io_context& context, Handler call, std::function<void(const std::string&)> line)
      : io(context),
        handler(std::move(call)),
        warn(std::move(line)),
        acceptor(context),
        pause(context) {}

  Result<void> listen(const SocketAddress& address);
  void accept();
  void serve(Tcp::socket socket);
  bool make_room(const std::string& ip);
  void report_crowd();
  void ended(int number, const std::string& peer, const std::string& reason);

  asio::io_context& io;
  Handler handler;
  std::function<void(const std::string&)> warn;
  Tcp::acceptor acceptor;
  asio::steady_timer pause;
  std::shared_ptr<asio::ssl::context> tls;
  struct Held {
    std::string ip;
    std::shared_ptr<ServerConnection> connection;
  };
  std::map<int, Held> connections;
  int last = 0;
  std::size_t turned_away = 0;  // since the last report
  std::optional<SteadyTime> reported;
  bool accepting = false, stopped = false;
};

namespace {

// An IPv4 client of an IPv6 socket as what it is.
std::string ip_text_of(const Tcp::endpoint& endpoint) {
  const auto ip = endpoint.address();
  const bool mapped = ip.is_v6() && ip.to_v6().is_v4_mapped();
  return mapped ? asio::ip::make_address_v4(asio::ip::v4_mapped, ip.to_v6()).to_string()
                : ip.to_string();
}

std::string text_of(const std::string& ip, const Tcp::endpoint& endpoint) {
  return (ip.find(':') == ip.npos ? ip : "[" + ip + "]") + ":" + std::to_string(endpoint.port());
}

int select_h2(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* in,
              unsigned in_size, void*) {
  constexpr static unsigned char h2[] = {2, 'h', '2'};
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, h2, sizeof h2, in, in_size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

Result<std::shared_ptr<asio::ssl::context>> make_context(const certs::KeyPair& certificate,
                                                         const certs::TrustStore& client_roots) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_server);
  SSL_CTX* const tls = context->native_handle();
  SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
  SSL_CTX_set_session_cache_mode(tls, SSL_SESS_CACHE_OFF);
  // A resumed session would skip verifying the client's certificate after a change of the roots.
  SSL_CTX_set_options(tls, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_num_tickets(tls, 0);
  // The chain as it is, without its root; and no buffers while a connection is idle.
  SSL_CTX_set_mode(tls, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(tls, select_h2, nullptr);
  SSL_CTX_set1_cert_store(tls, client_roots.store());
  context->set_verify_mode(asio::ssl::verify_peer);
  bool taken = SSL_CTX_use_certificate(tls, certificate.leaf()) == 1 &&
               SSL_CTX_use_PrivateKey(tls, certificate.key()) == 1;
  for (X509* one : certificate.intermediates())
    taken = taken && SSL_CTX_add1_chain_cert(tls, one) == 1;
  if (!taken) return Error{.fault = Fault::missing_secret, .context = certs::take_openssl_errors()};
  return context;
}

}  // namespace

Result<void> GrpcServer::State::listen(const SocketAddress& address) {
  const auto failed = [&](const boost::system::error_code& error) {
    return Error{.fault = Fault::internal,
                 .context = "listen on " + address.text() + ": " + error.message()};
  };
  boost::system::error_code error;
  const auto ip = asio::ip::make_address(address.ip().text(), error);
  if (error) return failed(error);
  acceptor.open(ip.is_v4() ? Tcp::v4() : Tcp::v6(), error);
  if (error) return failed(error);
  acceptor.set_option(Tcp::acceptor::reuse_address(true), error);
  if (ip.is_v6()) acceptor.set_option(asio::ip::v6_only(!ip.is_unspecified()), error);
  acceptor.bind(Tcp::endpoint(ip, address.port()), error);
  if (error) return failed(error);
  acceptor.listen(asio::socket_base::max_listen_connections, error);
  if (error) return failed(error);
  return {};
}

void GrpcServer::State::accept() {
  if (accepting || stopped) return;
  accepting = true;
  acceptor.async_accept([self = shared_from_this()](const auto& error, Tcp::socket socket) {
    self->accepting = false;
    if (self->stopped) return;
    if (!error) {
      self->serve(std::move(socket));
      return self->accept();
    }
    // No descriptors, most likely: they come back when others end.
    self->pause.expires_after(std::chrono::seconds(1));
    self->pause.async_wait([self](const auto& cancelled) {
      if (!cancelled) self->accept();
    });
  });
}

void GrpcServer::State::serve(Tcp::socket socket) {
  boost::system::error_code error;
  const auto endpoint = socket.remote_endpoint(error);
  if (error) return;  // gone already
  const std::string ip = ip_text_of(endpoint), peer = text_of(ip, endpoint);
  if (!make_room(ip)) return;
  const int number = ++last;
  auto connection = std::make_shared<ServerConnection>(
      io, handler, peer,
      [this, number, peer](const std::string& reason) { ended(number, peer, reason); });
  connections.emplace(number, Held{ip, connection});
  connection->start(
      [&](Connected done) { return accept_tls(std::move(socket), tls, std::move(done)); });
}

// False: the newcomer has to go.
bool GrpcServer::State::make_room(const std::string& ip) {
  if (connections.size() < limits::ca_connections_per_address) return true;
  std::vector<HeldConnection> held;
  held.reserve(connections.size());
  for (const auto& [number, one] : connections) {
    held.push_back({number, one.ip, one.connection->proven(), one.connection->busy(),
                    one.connection->since()});
  }
  const Room room = room_for(ip, held, std::chrono::steady_clock::now());
  if (room.verdict == Room::Verdict::there_is) return true;
  ++turned_away;
  report_crowd();
  if (room.verdict == Room::Verdict::refuse_newcomer) return false;
  const auto chosen = connections.extract(room.number);
  chosen.mapped().connection->close();
  return true;
}

void GrpcServer::State::report_crowd() {
  const auto now = std::chrono::steady_clock::now();
  if (!warn || (reported && now - *reported < limits::ca_crowd_report)) return;
  reported = now;
  warn("more connections than are served at a time (" + std::to_string(limits::ca_connections) +
       ", of one address " + std::to_string(limits::ca_connections_per_address) +
       "): " + std::to_string(std::exchange(turned_away, 0)) +
       " closed, those first on which no call has succeeded");
}

void GrpcServer::State::ended(int number, const std::string& peer, const std::string& reason) {
  connections.erase(number);
  if (!reason.empty() && warn) warn("connection of " + peer + ": " + reason);
}

GrpcServer::GrpcServer(std::shared_ptr<State> state) : state_(std::move(state)) {}

Result<std::unique_ptr<GrpcServer>> GrpcServer::start(
    asio::io_context& io, const SocketAddress& listen,
    std::shared_ptr<const certs::KeyPair> certificate,
    std::shared_ptr<const certs::TrustStore> client_roots, Handler handler,
    std::function<void(const std::string&)> warn) {
  const auto state = std::make_shared<State>(io, std::move(handler), std::move(warn));
  auto tls = make_context(*certificate, *client_roots);
  if (!tls) return tls.error();
  state->tls = std::move(*tls);
  if (auto listening = state->listen(listen); !listening) return listening.error();
  state->accept();
  return std::unique_ptr<GrpcServer>(new GrpcServer(state));
}

GrpcServer::~GrpcServer() {
  state_->stopped = true;
  boost::system::error_code ignored;
  state_->acceptor.close(ignored);
  state_->pause.cancel();
  for (const auto& [number, held] : std::exchange(state_->connections, {}))
    held.connection->close();
}

Result<void> GrpcServer::set_certificate(std::shared_ptr<const certs::KeyPair> certificate,
                                         std::shared_ptr<const certs::TrustStore> client_roots) {
  auto tls = make_context(*certificate, *client_roots);
  if (!tls) return tls.error();
  state_->tls = std::move(*tls);
  return {};
}

SocketAddress GrpcServer::address() const {
  boost::system::error_code ignored;
  const auto endpoint = state_->acceptor.local_endpoint(ignored);
  const auto text = endpoint.address().to_string();
  return SocketAddress(*IpAddress::parse(text), endpoint.port());
}

}  // namespace sallyport::ca
