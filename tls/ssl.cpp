#include "tls/ssl.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <utility>

#include "agent/core/limits.h"
#include "certs/describe.h"
#include "tls/connection.h"

namespace sallyport::tls {
namespace {

void free_connection(void*, void* connection, CRYPTO_EX_DATA*, int, long, void*) {
  delete static_cast<Connection*>(connection);
}

int connection_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, free_connection);
  return index;
}

// --- The BIO: a Transport. OpenSSL's read-ahead asks it for a whole record buffer at once, so that
// one read brings many records; RELEASE_BUFFERS gives that buffer back whenever it is empty. (A
// buffer of our own under it halved the reads of bulk data but cost 5 % more instructions a record
// where records come singly, as they do in HTTP.)

Connection& owner_of(BIO* bio) { return *static_cast<Connection*>(BIO_get_data(bio)); }

void remember_first_bytes(Handshake& handshake, const char* bytes, std::size_t size) {
  const std::size_t more = std::min(size, handshake.first.size() - handshake.first_size);
  std::memcpy(handshake.first.data() + handshake.first_size, bytes, more);
  handshake.first_size += more;
}

// Returns what a BIO has to: 1 with *bytes set; 0: the end; -1: failed, or retry (a flag says
// which).
int finish(BIO* bio, IoStep step, std::size_t* bytes) {
  if (step.want == Want::read) BIO_set_retry_read(bio);
  if (step.want == Want::write) BIO_set_retry_write(bio);
  if (step.want != Want::nothing || step.bytes < 0) return -1;
  *bytes = static_cast<std::size_t>(step.bytes);
  return step.bytes > 0 ? 1 : 0;
}

// The next part of what was read before TLS began; 0: there is no more of it.
std::size_t take_read_before(Handshake& handshake, char* into, std::size_t size) {
  const auto left = std::string_view(handshake.read_before).substr(handshake.read_at);
  const std::size_t taken = left.copy(into, size);
  handshake.read_at += taken;
  return taken;
}

int bio_read(BIO* bio, char* into, std::size_t size, std::size_t* read) {
  BIO_clear_retry_flags(bio);
  Connection& connection = owner_of(bio);
  if (connection.handshake) {
    *read = take_read_before(*connection.handshake, into, size);
    if (*read) remember_first_bytes(*connection.handshake, into, *read);
    if (*read) return 1;
  }
  if (connection.messages > limits::tls_messages_without_data) return -1;
  const int result = finish(bio, connection.transport->transport_read(into, size), read);
  if (result == 1 && connection.handshake) remember_first_bytes(*connection.handshake, into, *read);
  if (result == 0) connection.at_end = true;
  return result;
}

int bio_write(BIO* bio, const char* from, std::size_t size, std::size_t* written) {
  BIO_clear_retry_flags(bio);
  return finish(bio, owner_of(bio).transport->transport_write(from, size), written);
}

long bio_control(BIO* bio, int command, long, void*) {
  switch (command) {
    case BIO_CTRL_FLUSH:
      return 1;
    case BIO_CTRL_EOF:
      return owner_of(bio).at_end ? 1 : 0;
    default:
      return 0;
  }
}

const BIO_METHOD* transport_method() {
  static const BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "transport");
    BIO_meth_set_read_ex(made, bio_read);
    BIO_meth_set_write_ex(made, bio_write);
    BIO_meth_set_ctrl(made, bio_control);
    return made;
  }();
  return method;
}

// --- Steps

// connection_of() without the walk through OpenSSL's lists: once a record. REQUIRES: attach().
Connection& attached(SSL& ssl) { return owner_of(SSL_get_rbio(&ssl)); }

// The queue is taken now: until somebody asks for the reason, other connections use this thread.
IoStep failed(SSL& ssl) {
  Connection& connection = connection_of(ssl);
  if (!connection.failure) {  // the first failure is the cause of what follows
    connection.failure = std::make_unique<Failure>();
    Failure& failure = *connection.failure;
    failure.code =
        ERR_peek_error();  // libssl's own reason, where a cause of the provider stands before it
    if (ERR_GET_LIB(failure.code) != ERR_LIB_SSL &&
        ERR_GET_LIB(ERR_peek_last_error()) == ERR_LIB_SSL)
      failure.code = ERR_peek_last_error();
    failure.in_handshake = connection.handshake != nullptr;
    failure.at_end = connection.at_end;
    failure.too_many_messages = connection.messages > limits::tls_messages_without_data;
    failure.queue = take_openssl_errors();
  }
  ERR_clear_error();
  return {-1, Want::nothing};
}

// The peer has ended, but not within a record: OpenSSL reads a record's body ("RB") after its head.
bool ended_well(const SSL& ssl, const Connection& connection) {
  return !connection.at_end || std::string_view(SSL_rstate_string(&ssl)) != "RB";
}

IoStep classify(SSL& ssl, int result, bool reading = false) {
  const int error = SSL_get_error(&ssl, result);
  if (error == SSL_ERROR_WANT_READ) return {0, Want::read};
  if (error == SSL_ERROR_WANT_WRITE) return {0, Want::write};
  if (reading && error == SSL_ERROR_ZERO_RETURN && ended_well(ssl, connection_of(ssl)))
    return {0, Want::nothing};
  return failed(ssl);
}

}  // namespace

void SslFree::operator()(SSL* ssl) const noexcept {
  // Without it OpenSSL takes the connection for broken and makes its session, which a slot may
  // hold, unusable. After a real failure it has done so already.
  SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  SSL_free(ssl);
}
void SslCtxFree::operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
void SessionFree::operator()(SSL_SESSION* session) const noexcept { SSL_SESSION_free(session); }

Connection& connection_of(SSL& ssl) {
  if (void* known = SSL_get_ex_data(&ssl, connection_index()))
    return *static_cast<Connection*>(known);
  auto made = std::make_unique<Connection>(ssl);
  SSL_set_ex_data(&ssl, connection_index(), made.get());
  return *made.release();
}

void attach(SSL& ssl, Transport& transport) {
  Connection& connection = connection_of(ssl);
  connection.transport = &transport;
  SSL_set_mode(&ssl, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                         SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_set_options(&ssl,
                  SSL_OP_IGNORE_UNEXPECTED_EOF);  // Peers that close without close_notify are many.
  SSL_set_read_ahead(&ssl, 1);
  BIO* const bio = BIO_new(transport_method());
  BIO_set_data(bio, &connection);
  BIO_set_init(bio, 1);
  SSL_set_bio(&ssl, bio, bio);
}

IoStep handshake_step(SSL& ssl) {
  const int result = SSL_do_handshake(&ssl);
  if (result != 1) return classify(ssl, result);
  ERR_clear_error();  // OpenSSL may leave some although all went well.
  connection_of(ssl).handshake.reset();
  return {1, Want::nothing};
}

IoStep read_step(SSL& ssl, std::span<char> into) {
  std::size_t bytes = 0;
  const int result = SSL_read_ex(&ssl, into.data(), into.size(), &bytes);
  if (Connection& connection = attached(ssl); connection.writes_buffered)
    connection.writes_buffered = SSL_free_buffers(&ssl) != 1;
  if (result == 1) return {static_cast<ssize_t>(bytes), Want::nothing};
  return classify(ssl, result, true);
}

IoStep write_step(SSL& ssl, std::span<const char> from) {
  if (from.empty()) return {0, Want::nothing};
  Connection& connection = attached(ssl);
  const bool with_ticket = std::exchange(connection.ticket_due, false);
  if (with_ticket) {
    SSL_new_session_ticket(&ssl);  // of TLS 1.3; with 1.2 it refuses, having sent one already
    ERR_clear_error();
  }
  std::size_t bytes = 0;
  const int result = SSL_write_ex(&ssl, from.data(), from.size(), &bytes);
  // A ticket is of the handshake: OpenSSL takes both buffers for it, and keeps that for reading
  // until something is read: 16 KiB of a connection that is idle after its first answer.
  if (with_ticket) connection.writes_buffered = SSL_free_buffers(&ssl) != 1;
  return result == 1 ? IoStep{static_cast<ssize_t>(bytes), Want::nothing} : classify(ssl, result);
}

IoStep shutdown_step(SSL& ssl) {
  if (!SSL_is_init_finished(&ssl) || connection_of(ssl).failure) return {1, Want::nothing};
  if (SSL_get_shutdown(&ssl) & SSL_SENT_SHUTDOWN) return {1, Want::nothing};
  const int result = SSL_shutdown(&ssl);
  return result >= 0 ? IoStep{1, Want::nothing} : classify(ssl, result);
}

bool bytes_at_hand(const SSL& ssl) { return SSL_has_pending(&ssl) == 1; }

void release_buffers(SSL& ssl) {
  SSL_free_buffers(&ssl);
  ERR_clear_error();
}

std::string take_openssl_errors() { return certs::take_openssl_errors(); }

std::string_view selected_alpn(const SSL& ssl) {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(&ssl, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

std::string_view protocol_version(const SSL& ssl) { return SSL_get_version(&ssl); }
std::string_view cipher_name(const SSL& ssl) { return SSL_get_cipher_name(&ssl); }
bool session_reused(const SSL& ssl) { return SSL_session_reused(&ssl) == 1; }

}  // namespace sallyport::tls
