#include "agent/sniff/sniff.h"

#include <algorithm>
#include <array>

#include "agent/core/limits.h"
#include "agent/sniff/client_hello.h"

namespace sallyport::sniff {
namespace {

constexpr char tls_handshake = 0x16;
constexpr std::string_view http2_preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// IANA's registry of HTTP methods and the few others in wide use. A list, and not any token, so
// that the first bytes of other text protocols ("PING", "EHLO", "hello") are known to be opaque at
// once and nobody waits for a line end.
constexpr std::array<std::string_view, 46> methods = {"GET",
                                                      "POST",
                                                      "PUT",
                                                      "HEAD",
                                                      "DELETE",
                                                      "OPTIONS",
                                                      "PATCH",
                                                      "CONNECT",
                                                      "TRACE",
                                                      "ACL",
                                                      "BASELINE-CONTROL",
                                                      "BIND",
                                                      "CHECKIN",
                                                      "CHECKOUT",
                                                      "COPY",
                                                      "LABEL",
                                                      "LINK",
                                                      "LOCK",
                                                      "M-SEARCH",
                                                      "MERGE",
                                                      "MKACTIVITY",
                                                      "MKCALENDAR",
                                                      "MKCOL",
                                                      "MKREDIRECTREF",
                                                      "MKWORKSPACE",
                                                      "MOVE",
                                                      "NOTIFY",
                                                      "ORDERPATCH",
                                                      "PROPFIND",
                                                      "PROPPATCH",
                                                      "PURGE",
                                                      "QUERY",
                                                      "REBIND",
                                                      "REPORT",
                                                      "SEARCH",
                                                      "SOURCE",
                                                      "SUBSCRIBE",
                                                      "UNBIND",
                                                      "UNCHECKOUT",
                                                      "UNLINK",
                                                      "UNLOCK",
                                                      "UNSUBSCRIBE",
                                                      "UPDATE",
                                                      "UPDATEREDIRECTREF",
                                                      "VERSION-CONTROL",
                                                      "VIEW"};

enum class Match : uint8_t { no, prefix, whole };

Match match(std::string_view bytes, std::string_view pattern) {
  const auto size = std::min(bytes.size(), pattern.size());
  if (bytes.substr(0, size) != pattern.substr(0, size)) return Match::no;
  return bytes.size() < pattern.size() ? Match::prefix : Match::whole;
}

Match match_method(std::string_view bytes) {
  Match best = Match::no;
  for (const auto method : methods) {
    const Match name = match(bytes, method);
    if (name == Match::no) continue;
    if (name == Match::prefix || bytes.size() == method.size())
      best = Match::prefix;
    else if (bytes[method.size()] == ' ')
      return Match::whole;
  }
  return best;
}

Sniffed decided(Protocol protocol, const char* note = "") {
  Sniffed out{Verdict::decided, {}, note};
  out.preface.protocol = protocol;
  return out;
}

Sniffed sniff_tls(std::string_view bytes, bool ended) {
  Sniffed out;
  const Hello hello = read_client_hello(bytes, out.preface);
  if (hello.state == HelloState::broken) return decided(Protocol::opaque, hello.note);
  if (hello.state == HelloState::more) {
    return ended ? decided(Protocol::opaque, "ClientHello cut short") : Sniffed{};
  }
  out.verdict = Verdict::decided;
  out.preface.protocol = Protocol::tls;
  out.note = hello.note;
  return out;
}

// RFC 9112 section 2.2: a request may come after empty lines; the codec takes up to two.
std::string_view without_empty_lines(std::string_view bytes) {
  for (int i = 0; i < 2 && bytes.starts_with("\r\n"); i++) bytes.remove_prefix(2);
  return bytes;
}

Sniffed sniff_http(std::string_view bytes, bool ended) {
  bytes = without_empty_lines(bytes);
  if (bytes.empty() || bytes == "\r") return ended ? decided(Protocol::opaque) : Sniffed{};
  const Match http2 = match(bytes, http2_preface);
  if (http2 == Match::whole) return decided(Protocol::http2);
  const Match method = match_method(bytes);
  if (method == Match::whole) {
    const auto line = bytes.substr(0, bytes.find('\n'));
    // The codec judges the line strictly; here it is enough that it claims to be HTTP ("GET key" is
    // Redis).
    if (line.size() < bytes.size()) {
      const bool claims = line.find(" HTTP/") != line.npos;
      return decided(claims ? Protocol::http1 : Protocol::opaque);
    }
    // Cut short or too long, yet HTTP by all that is known. Opaque bytes would go out as they are,
    // past the TLS that a rule may ask for; HTTP answers with an error.
    return ended ? decided(Protocol::http1) : Sniffed{};
  }
  if (method == Match::no && http2 == Match::no) return decided(Protocol::opaque);
  // What could still become HTTP when its time is over is treated as that, for the same reason.
  if (ended)
    return decided(http2 == Match::prefix && bytes.size() > 3 ? Protocol::http2 : Protocol::http1);
  return {};
}

}  // namespace

Sniffed sniff(std::string_view bytes, bool ended) {
  ended = ended || bytes.size() >= limits::sniff_bytes;
  if (bytes.empty()) return ended ? decided(Protocol::opaque) : Sniffed{};
  if (bytes[0] == tls_handshake) return sniff_tls(bytes, ended);
  return sniff_http(bytes, ended);
}

}  // namespace sallyport::sniff
