// A TLS ClientHello as far as routing needs it: SNI and ALPN (RFC 8446 4.1.2, RFC 6066 3, RFC
// 7301 3.1).
//
// Strict: every length must fill its place exactly, and what two readers could take differently
// (two server names, two ALPN lists, bytes after the message) is no ClientHello. Time is linear in
// the bytes; nothing is copied before the message is whole, and only when it spans records.
#pragma once
#include <cstdint>
#include <string_view>

#include "agent/sniff/sniff.h"

namespace sallyport::sniff {

enum class HelloState : uint8_t { more, done, broken };

struct Hello {
  HelloState state = HelloState::more;
  const char* note = "";  // done: what is odd about the SNI; broken: why
};

// REQUIRES: `bytes` begins with the content type of a handshake record (0x16). On `done`, `preface`
// has SNI and ALPN.
Hello read_client_hello(std::string_view bytes, Preface& preface);

}  // namespace sallyport::sniff
