// Whole HTTP/2 sessions into a connection of the CA's server, requests to be signed, and the names
// of certificates.
//
// Whatever the bytes: nothing is served that was not admitted, and no message is longer than the
// limit; no text of a certificate leaves its line in a log.
#include <openssl/x509v3.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "agent/core/limits.h"
#include "certs/ca/csr.h"
#include "certs/ca/server_connection.h"
#include "certs/describe.h"
#include "tests/support/grpc_session.h"

namespace {

using namespace sallyport;

void require(bool condition) {
  if (!condition) std::abort();
}

void settle(boost::asio::io_context& io) {
  io.restart();
  while (io.poll() != 0) {
  }
}

void session(std::string_view bytes, std::size_t piece) {
  boost::asio::io_context io;
  std::size_t admitted = 0, served = 0;
  const ca::GrpcServer::Handler handler =
      [&](const ca::ServerCall& call) -> std::variant<ca::ServerAnswer, ca::GrpcServer::Serve> {
    require(call.authorization.size() <= limits::grpc_header_bytes);
    if (call.authorization != "Bearer good")
      return ca::ServerAnswer{ca::GrpcCode::unauthenticated, call.path, ""};
    ++admitted;
    return [&](const std::string& message) {
      require(++served <= admitted && message.size() <= limits::grpc_request_bytes);
      return ca::ServerAnswer{ca::GrpcCode::ok, "", message};
    };
  };
  std::string written;
  const auto connection =
      std::make_shared<ca::ServerConnection>(io, handler, "10.0.0.1:1", [](const std::string&) {});
  auto transport = std::make_unique<test::FedTransport>(io, piece, written);
  transport->feed(test::h2_preface());
  transport->feed(bytes);
  connection->start([&](const ca::Connected& done) {
    done(std::move(transport));
    return nullptr;
  });
  settle(io);
  connection->close();
  settle(io);
}

// DER, or text as it is.
void request(std::string_view bytes, bool der) {
  std::string pem(bytes);
  if (der) {
    std::string base64(bytes.size() / 3 * 4 + 5, '\0');
    base64.resize(static_cast<std::size_t>(EVP_EncodeBlock(
        reinterpret_cast<unsigned char*>(base64.data()),
        reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()))));
    pem = "-----BEGIN CERTIFICATE REQUEST-----\n";
    for (std::size_t at = 0; at < base64.size(); at += 64) pem += base64.substr(at, 64) + "\n";
    pem += "-----END CERTIFICATE REQUEST-----\n";
  }
  const auto key = ca::requested_key(pem, "spiffe://cluster.local/ns/default/sa/sleep");
  require(key || !key.error().context.empty());
}

void names(std::string_view bytes) {
  const certs::X509Ptr certificate(X509_new());
  ASN1_OCTET_STRING* const value = ASN1_OCTET_STRING_new();
  ASN1_OCTET_STRING_set(value, reinterpret_cast<const unsigned char*>(bytes.data()),
                        static_cast<int>(bytes.size()));
  X509_EXTENSION* const extension =
      X509_EXTENSION_create_by_NID(nullptr, NID_subject_alt_name, 0, value);
  X509_add_ext(certificate.get(), extension, -1);
  X509_EXTENSION_free(extension);
  ASN1_OCTET_STRING_free(value);
  const certs::CertificateInfo info = certs::describe(*certificate);
  for (const std::string& uri : info.uris) {
    for (const char c : certs::printable(uri, 512)) require(c >= ' ' && c <= '~');
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
  switch (data[0] % 4) {
    case 0:
      session(bytes, 1 + data[1] * 64U);
      break;
    case 1:
      request(bytes, true);
      break;
    case 2:
      request(bytes, false);
      break;
    default:
      names(bytes);
  }
  return 0;
}
