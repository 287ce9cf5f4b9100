// Why a step failed, in words for operators: the prefix and the upper-case name are those of
// Envoy's transport failure reason, what follows is ours.
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "agent/core/limits.h"
#include "certs/describe.h"
#include "tls/connection.h"

namespace sallyport::tls {
namespace {

struct Cause {
  Fault fault = Fault::tls_handshake;
  std::string name;  // "CERTIFICATE_VERIFY_FAILED"; may be empty
  std::string text;
};

// "tlsv13 alert certificate required" -> "TLSV13_ALERT_CERTIFICATE_REQUIRED", as BoringSSL spells
// its reasons.
std::string reason_name(unsigned long code) {
  const char* reason = ERR_reason_error_string(code);
  std::string name = reason ? reason : "UNKNOWN_ERROR";
  for (char& c : name) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (c == ' ') c = '_';
  }
  return name;
}

struct Alert {
  int number;
  const char* name;
  const char* hint;  // after "the server" or "the client"; may be empty
};
// RFC 8446 section 6, RFC 5246 section 7.2.
constexpr Alert alerts[] = {
    {SSL_AD_UNEXPECTED_MESSAGE, "unexpected message", ""},
    {SSL_AD_BAD_RECORD_MAC, "bad record mac", "could not decrypt what we sent"},
    {SSL_AD_RECORD_OVERFLOW, "record overflow", ""},
    {SSL_AD_HANDSHAKE_FAILURE, "handshake failure",
     "finds no cipher suite, curve or signature in common"},
    {SSL_AD_BAD_CERTIFICATE, "bad certificate", "refuses our certificate or wants one"},
    {SSL_AD_UNSUPPORTED_CERTIFICATE, "unsupported certificate",
     "cannot use our certificate's type or key usage"},
    {SSL_AD_CERTIFICATE_REVOKED, "certificate revoked", "says that our certificate is revoked"},
    {SSL_AD_CERTIFICATE_EXPIRED, "certificate expired", "says that our certificate has expired"},
    {SSL_AD_CERTIFICATE_UNKNOWN, "certificate unknown", "does not accept our certificate"},
    {SSL_AD_ILLEGAL_PARAMETER, "illegal parameter", ""},
    {SSL_AD_UNKNOWN_CA, "unknown CA", "does not trust the CA of our certificate"},
    {SSL_AD_ACCESS_DENIED, "access denied", "knows our certificate and denies it"},
    {SSL_AD_DECODE_ERROR, "decode error", ""},
    {SSL_AD_DECRYPT_ERROR, "decrypt error", "could not verify our signature"},
    {SSL_AD_PROTOCOL_VERSION, "protocol version", "has no TLS version in common with us"},
    {SSL_AD_INSUFFICIENT_SECURITY, "insufficient security", "wants stronger ciphers"},
    {SSL_AD_INTERNAL_ERROR, "internal error", "failed by itself"},
    {SSL_AD_INAPPROPRIATE_FALLBACK, "inappropriate fallback", ""},
    {SSL_AD_USER_CANCELLED, "user canceled", ""},
    {SSL_AD_MISSING_EXTENSION, "missing extension", ""},
    {SSL_AD_UNSUPPORTED_EXTENSION, "unsupported extension", ""},
    {SSL_AD_UNRECOGNIZED_NAME, "unrecognized name", "does not know the name asked for"},
    {SSL_AD_CERTIFICATE_REQUIRED, "certificate required", "wants a client certificate"},
    {SSL_AD_NO_APPLICATION_PROTOCOL, "no application protocol", "has no ALPN protocol in common"},
};

// With these servers also answer a client that sent none.
bool may_be_about_our_certificate(int alert) {
  return alert == SSL_AD_HANDSHAKE_FAILURE || alert == SSL_AD_BAD_CERTIFICATE ||
         alert == SSL_AD_CERTIFICATE_UNKNOWN || alert == SSL_AD_ACCESS_DENIED ||
         alert == SSL_AD_CERTIFICATE_REQUIRED;
}

std::string alert_text(int number, std::string_view peer, SSL& ssl, const Connection& connection) {
  const auto* const alert = std::find_if(std::begin(alerts), std::end(alerts),
                                         [number](const Alert& a) { return a.number == number; });
  const bool known = alert != std::end(alerts);
  std::string text =
      "alert " + std::string(known ? alert->name : "unknown") + " (" + std::to_string(number) + ")";
  std::string hint = known ? alert->hint : "";
  if (connection.handshake && connection.handshake->certificate_wanted &&
      !SSL_get_certificate(&ssl) && may_be_about_our_certificate(number))
    hint = "wants a client certificate and none is set";
  if (!hint.empty()) text += ": the " + std::string(peer) + " " + hint;
  const bool names_an_offer = number == SSL_AD_UNRECOGNIZED_NAME ||
                              number == SSL_AD_NO_APPLICATION_PROTOCOL ||
                              number == SSL_AD_HANDSHAKE_FAILURE;
  if (names_an_offer && connection.handshake && !connection.handshake->offered.empty())
    text += " (" + connection.handshake->offered + ")";
  return text;
}

// Content types 20 to 24 and major version 3: RFC 8446 section 5.1.
bool begins_like_tls(std::string_view bytes) {
  return bytes.size() >= 2 && bytes[0] >= 20 && bytes[0] <= 24 && bytes[1] == 3;
}

std::string not_tls_text(std::string_view first, std::string_view peer) {
  const std::string_view line = first.substr(0, first.find_first_of("\r\n"));
  static constexpr std::string_view requests[] = {"GET ",     "POST ",   "PUT ",   "HEAD ",
                                                  "CONNECT ", "DELETE ", "PATCH ", "OPTIONS "};
  const bool http =
      line.starts_with("HTTP/") ||
      std::any_of(std::begin(requests), std::end(requests),
                  [line](std::string_view method) { return line.starts_with(method); });
  return "the " + std::string(peer) + (http ? " speaks plain HTTP" : " speaks no TLS") +
         " here: it sent \"" + certs::printable(line, sizeof(Handshake::first)) + "\"";
}

Cause transport_cause(const Failure& failure, std::string_view peer, const Connection& connection) {
  const std::string who = "the " + std::string(peer);
  if (failure.too_many_messages)
    return {Fault::protocol, "TOO_MANY_KEY_UPDATES",
            who + " sends tickets or key updates without end"};
  if (!failure.in_handshake)
    return {Fault::reset, "",
            failure.at_end ? who + " closed the connection within a TLS record"
                           : "the connection broke"};
  if (!failure.at_end) return {Fault::tls_handshake, "", "the connection broke in the handshake"};
  const bool silent = connection.handshake && connection.handshake->first_size == 0;
  return {Fault::tls_handshake, "",
          who + " closed the connection in the handshake" +
              (silent ? " without an answer: perhaps it speaks no TLS here" : "")};
}

bool is_version_mismatch(int reason) {
  return reason == SSL_R_UNSUPPORTED_PROTOCOL || reason == SSL_R_WRONG_SSL_VERSION ||
         reason == SSL_R_VERSION_TOO_LOW || reason == SSL_R_VERSION_TOO_HIGH;
}

// 0: OpenSSL was set no bound.
std::string our_versions(SSL& ssl) {
  const auto version = [](long number, Version unbound) {
    return number < TLS1_VERSION ? unbound : static_cast<Version>(number - TLS1_VERSION);
  };
  return versions_text(version(SSL_get_min_proto_version(&ssl), Version::tls_1_0),
                       version(SSL_get_max_proto_version(&ssl), Version::tls_1_3));
}

// What of an offer is short of a match, for errors of our own.
const char* missing_in_common(int reason) {
  switch (reason) {
    case SSL_R_NO_SHARED_CIPHER:
      return "no cipher suite in common with the ";
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_GROUPS:
      return "no curve in common with the ";
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
      return "no signature algorithm that fits our certificate in common with the ";
    default:
      return nullptr;
  }
}

Cause cause_of(SSL& ssl, const Connection& connection, std::string_view peer) {
  const Failure& failure = *connection.failure;
  if (connection.handshake && !connection.handshake->verify_failure.empty())
    return {Fault::tls_verify, "CERTIFICATE_VERIFY_FAILED", connection.handshake->verify_failure};
  if (failure.code == 0) return transport_cause(failure, peer, connection);
  Cause cause{Fault::tls_handshake, reason_name(failure.code), failure.queue};
  const int reason = ERR_GET_REASON(failure.code);
  if (ERR_GET_LIB(failure.code) != ERR_LIB_SSL) return cause;
  if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
    cause.text = "the " + std::string(peer) + " showed no certificate";
    return cause;
  }
  if (reason == SSL_R_EXCESSIVE_MESSAGE_SIZE) {
    cause.text = "the " + std::string(peer) + " sent a longer message than any that is due here" +
                 ": a certificate chain may have " +
                 std::to_string(limits::client_chain_bytes / 1024) + " KiB";
    return cause;
  }
  if (const char* const missing = missing_in_common(reason)) {
    cause.text = missing + std::string(peer);
    return cause;
  }
  if (reason > SSL_AD_REASON_OFFSET) {
    cause.text = alert_text(reason - SSL_AD_REASON_OFFSET, peer, ssl, connection);
  } else if (is_version_mismatch(reason)) {
    cause.text = "no TLS version in common: the " + std::string(peer) + " speaks another than " +
                 our_versions(ssl);
  } else if (connection.handshake && connection.handshake->first_size > 0) {
    const std::string_view first(connection.handshake->first.data(),
                                 connection.handshake->first_size);
    if (!begins_like_tls(first)) cause.text = not_tls_text(first, peer);
  }
  return cause;
}

}  // namespace

Error failure_of(SSL& ssl, Side side) {
  const Connection& connection = connection_of(ssl);
  ERR_clear_error();
  if (!connection.failure)
    return {Fault::internal, side, false, "TLS error: asked for a failure where none was", {}};
  const Cause cause = cause_of(ssl, connection, side == Side::downstream ? "client" : "server");
  std::string context = "TLS error: ";
  if (!cause.name.empty()) context += cause.name + ": ";
  return {cause.fault, side, connection.failure->in_handshake, context + cause.text, {}};
}

}  // namespace sallyport::tls
