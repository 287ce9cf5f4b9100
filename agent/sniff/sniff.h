// First bytes of a connection: what protocol they are, and for TLS the SNI and ALPN. Pure: bytes
// in, verdict out.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sallyport::sniff {

enum class Protocol : uint8_t { unknown, tls, http1, http2, opaque };

struct Preface {
  Protocol protocol = Protocol::unknown;
  std::string sni;  // lower case, no trailing dot; empty: none, an IP literal or not a host name
  std::vector<std::string> alpn;  // as offered
};

enum class Verdict : uint8_t {
  more,     // could still become several things: read on
  decided,  // `preface` holds it
};

struct Sniffed {
  Verdict verdict = Verdict::more;
  Preface preface;
  const char* note = "";  // why TLS-looking bytes were called opaque: "ClientHello cut short", ...
                          // ("" when nothing is odd)
};

// `bytes`: all that was read so far (at most limits::sniff_bytes). `ended`: no more will come (end,
// timeout or limit), so the verdict is decided. A ClientHello may span any number of TLS records
// and segments.
Sniffed sniff(std::string_view bytes, bool ended);

}  // namespace sallyport::sniff
