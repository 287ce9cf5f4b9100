// What a server asks of its clients and shows them, and the same made ready for connections.
//
// Threading: immutable values, shared by all workers; made on any thread.
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "certs/key_pair.h"
#include "certs/trust.h"
#include "tls/parameters.h"
#include "tls/pins.h"

struct stack_st_X509_NAME;

namespace sallyport::tls {

// Of a client: not asked for one; asked, and verified if it shows one; let in only with one.
enum class ClientCertificate : uint8_t { none, optional, required };

struct ServerSettings : Parameters {
  // One, or two. Of two, that with a SAN for the client's SNI is shown; where both or neither have
  // one: of RSA and ECDSA what the client can verify, ECDSA first; of two of one kind the first. As
  // Envoy chooses.
  std::vector<std::shared_ptr<const certs::KeyPair>> certificates;
  // Whose settings these are (a Gateway's server): a session of one is not resumed on another.
  std::string server_name;

  ClientCertificate client_certificate = ClientCertificate::none;
  std::shared_ptr<const certs::TrustStore> roots;  // vouch for clients; null only if none are asked
                                                   // for a certificate, or with accept_untrusted
  std::string roots_name;  // of the secret or files, for messages about CRLs
  // The request for a certificate names the roots, as Envoy's does: a client with several
  // certificates chooses by that.
  bool names_roots = false;
  // Where set, the client's certificate must have exactly one URI SAN, a SPIFFE id of one of these
  // (SPIFFE X.509-SVID section 2; istiod's MatchSubjectAltNames).
  std::vector<std::string> trust_domains;
  // Where set, one must match a SAN, as ClientSettings::names.
  std::vector<std::string> names;
  // Where either is set, the client's certificate must be in one of them, beside all else.
  std::vector<Sha256> certificate_spki, certificate_hash;
  // Whatever certificate a client shows is let in: as in Envoy (ACCEPT_UNTRUSTED) chain, names and
  // pins are looked at, but refuse nobody. PeerCertificate::verified tells those that passed. A
  // required certificate is required all the same.
  bool accept_untrusted = false;

  // What is answered to a client's ALPN offer: the first of these that it has; none: no ALPN.
  std::vector<std::string> alpn;
};

class PreparedServer {
public:
  // Checks the settings and works out once what each connection needs of them (3 us). Errors
  // (Side::local): Fault::missing_secret without a certificate, or without roots to verify clients
  // with; Fault::tls_handshake for more than two certificates, for versions of which none is left,
  // and for demands on certificates that nobody is asked for.
  static Result<std::shared_ptr<const PreparedServer>> make(ServerSettings settings);
  ~PreparedServer();
  PreparedServer(const PreparedServer&) = delete;

  const ServerSettings& settings() const { return settings_; }
  // A digest of all that the verification of a client depends on, and of server_name.
  std::span<const unsigned char> session_context() const { return session_context_; }
  // Whether an SSL can hold both certificates at once.
  bool kinds_differ() const { return kinds_differ_; }
  // Of which of two certificates a name is; null: of both or of neither.
  const certs::KeyPair* certificate_of(std::string_view name) const;
  // For the request for a client's certificate; null: names none.
  const stack_st_X509_NAME* root_names() const { return root_names_.get(); }
  // When the first CRL runs out, which then refuses every chain; 0: never. Seconds since 1970.
  int64_t crls_end() const { return crls_end_; }

private:
  struct NamesFree {
    void operator()(stack_st_X509_NAME* names) const noexcept;
  };
  explicit PreparedServer(ServerSettings settings);

  ServerSettings settings_;
  Sha256 session_context_{};
  bool kinds_differ_ = false;
  std::unique_ptr<stack_st_X509_NAME, NamesFree> root_names_;
  int64_t crls_end_ = 0;
};
using PreparedServerPtr = std::shared_ptr<const PreparedServer>;

}  // namespace sallyport::tls
