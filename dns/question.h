// A client's DNS message, as far as the proxy answers it (RFC 1035 section 4, RFC 6891). The
// message is hostile. Pure; no allocation.
#pragma once
#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace sallyport::dns {

enum class Reading : uint8_t {
  answer,           // a question that can be answered
  ignore,           // no question at all: too short for a header, or a response
  format_error,     // FORMERR
  not_implemented,  // NOTIMP: another operation than QUERY
  bad_version,      // BADVERS: EDNS of a later version than 0
};

struct Question {
  uint16_t id = 0, type = 0, klass = 0;
  bool recursion_desired = false, checking_disabled = false;
  bool authentic_data = false;  // it wants to be told of validation (RFC 6840 section 5.7)
  std::size_t end = 0;          // of the question section in the message
  bool edns = false;            // there is an OPT record
  uint16_t udp_size = 0;        // as it says; 0 without one
  bool dnssec_ok = false;
  // The message has more that an answer may depend on (cookies, client subnets, signatures, the
  // serial of RFC 1995): answers are for this client alone.
  bool options = false;

  // Dotted, in lower case, without the root's dot; "" is the root. A dot within a label is a
  // backslash, so that every dot ends a label: no name of the mesh has either in one.
  std::string_view name() const { return {text.data(), text_size}; }
  // As the message has it, in lower case.
  std::string_view wire_name() const { return {wire.data(), wire_size}; }

  std::array<char, 256> text, wire;
  std::size_t text_size = 0, wire_size = 0;
};

// Which messages are taken is miekg/dns's rule (its DefaultMsgAcceptFunc), as istio-agent has it.
// `into` is set as far as it could be read; wholly with Reading::answer and bad_version.
Reading read_question(std::span<const char> message, Question& into);

}  // namespace sallyport::dns
