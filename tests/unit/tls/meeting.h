// A client of ours that comes to a server of ours, over a wire in memory.
#pragma once
#include <memory>
#include <string>

#include "tests/unit/tls/tls_pair.h"
#include "tls/server.h"

namespace sallyport::tls {

inline PreparedServerPtr prepared(ServerSettings settings) {
  auto made = PreparedServer::make(std::move(settings));
  EXPECT_TRUE(made) << made.error().context;
  return made.value();
}

// A gateway's context shows its server's certificates, the mesh's takes those of each connection.
inline std::unique_ptr<ServerContext> context_of(ServerKind kind, const PreparedServerPtr& server) {
  if (kind == ServerKind::mesh) return std::make_unique<ServerContext>(kind);
  auto made = ServerContext::showing(kind, server);
  EXPECT_TRUE(made) << made.error().context;
  return std::move(made.value());
}

// Sessions of one meeting are offered at the next.
struct Meeting {
  ClientContext client_context;
  SessionSlot slot;
  PreparedServerPtr server;
  std::unique_ptr<ServerContext> server_context;

  Meeting(const ServerSettings& settings, ServerKind kind)
      : server(prepared(settings)), server_context(context_of(kind, server)) {}

  std::unique_ptr<Pair> meet(const ClientSettings& client) {
    auto pair = std::make_unique<Pair>(client_context.open(client, &slot).value(),
                                       server_context->open(server, "").value());
    finish(*pair);
    return pair;
  }
  // TLS 1.3: the client is done before the server has looked at its certificate.
  static void finish(Pair& pair) {
    pair.handshake();
    char byte = 'x';
    if (!SSL_is_init_finished(pair.server.get())) return;
    write_step(*pair.server, {&byte, 1});
    read_step(*pair.client, {&byte, 1});
  }
  // What the server says of a client that it does not let in; empty: it did.
  std::string refusal(const ClientSettings& client) {
    const auto pair = meet(client);
    if (SSL_is_init_finished(pair->server.get())) return {};
    return failure_of(*pair->server, Side::downstream).context;
  }
};

}  // namespace sallyport::tls
