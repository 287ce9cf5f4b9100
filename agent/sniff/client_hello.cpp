#include "agent/sniff/client_hello.h"

#include <algorithm>
#include <optional>

#include "agent/core/address.h"
#include "agent/core/ascii.h"
#include "agent/core/limits.h"

namespace sallyport::sniff {
namespace {

constexpr uint8_t handshake_record = 0x16;
constexpr uint8_t client_hello_message = 1;
constexpr std::size_t record_header_size = 5;
constexpr std::size_t message_header_size = 4;
constexpr std::size_t record_size_max = 1 << 14;  // RFC 8446 5.1
constexpr std::size_t random_size = 32;
constexpr std::size_t session_id_size_max = 32;
constexpr uint16_t server_name_extension = 0;
constexpr uint16_t alpn_extension = 16;
constexpr std::size_t host_name_size_max = 253;
constexpr std::size_t label_size_max = 63;

// Reads big-endian numbers and vectors off the front; once something is missing, `ok` stays false.
class Reader {
public:
  explicit Reader(std::string_view bytes) : rest_(bytes) {}
  bool ok() const { return ok_; }
  bool at_end() const { return rest_.empty(); }
  uint32_t number(int size) {
    uint32_t value = 0;
    for (const char byte : take(static_cast<std::size_t>(size))) {
      value = value << 8 | static_cast<uint8_t>(byte);
    }
    return value;
  }
  std::string_view take(std::size_t size) {
    if (!ok_ || size > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const auto out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return out;
  }
  std::string_view vector(int length_size) { return take(number(length_size)); }

private:
  std::string_view rest_;
  bool ok_ = true;
};

// The first handshake message out of its records.
struct Message {
  Hello outcome;
  std::string joined;     // holds it where it spans records
  std::string_view body;  // without its header
};

struct Records {
  Hello outcome;
  std::size_t bytes = 0;                   // of handshake data seen
  std::optional<std::size_t> wanted = {};  // header and body of the message
  char header[message_header_size] = {};   // its first bytes, which may span records too
};

// Judges the message by its header as soon as that is whole.
Hello judge_header(Records& seen) {
  Reader reader(std::string_view(seen.header, message_header_size));
  if (reader.number(1) != client_hello_message) {
    return {HelloState::broken, "TLS handshake that does not begin with a ClientHello"};
  }
  seen.wanted = message_header_size + reader.number(3);
  if (*seen.wanted + record_header_size > limits::sniff_bytes) {
    return {HelloState::broken, "ClientHello longer than 64 KiB"};
  }
  return {};
}

// Walks records until the message is whole; `visit` gets each one's data.
template <class Visit>
Records walk_records(std::string_view bytes, Visit visit) {
  Records seen;
  const auto broken = [&](const char* why) {
    seen.outcome = {HelloState::broken, why};
    return seen;
  };
  while (!bytes.empty()) {
    if (static_cast<uint8_t>(bytes[0]) != handshake_record)
      return broken("ClientHello interrupted");
    if (bytes.size() > 1 && bytes[1] != 3) return broken("record of an unknown TLS version");
    if (bytes.size() < record_header_size) return seen;
    Reader header(bytes.substr(3, 2));
    const std::size_t size = header.number(2);
    if (size == 0 || size > record_size_max) return broken("TLS record of a forbidden length");
    const auto data = bytes.substr(record_header_size, size);
    visit(data);
    for (std::size_t i = 0; i < data.size() && seen.bytes + i < message_header_size; i++) {
      seen.header[seen.bytes + i] = data[i];
    }
    seen.bytes += data.size();
    if (!seen.wanted && seen.bytes >= message_header_size) {
      if (const Hello judged = judge_header(seen); judged.state == HelloState::broken) {
        return broken(judged.note);
      }
    }
    if (data.size() < size && (!seen.wanted || seen.bytes <= *seen.wanted)) return seen;
    if (seen.wanted && seen.bytes > *seen.wanted) return broken("bytes after the ClientHello");
    if (seen.wanted && seen.bytes == *seen.wanted) {
      seen.outcome.state = HelloState::done;
      return seen;
    }
    bytes.remove_prefix(record_header_size + size);
  }
  return seen;
}

Message join_records(std::string_view bytes) {
  Message out;
  std::size_t records = 0;
  std::string_view first;
  const auto seen = walk_records(bytes, [&](std::string_view data) {
    if (records++ == 0) first = data;
  });
  out.outcome = seen.outcome;
  if (out.outcome.state != HelloState::done) return out;
  if (records > 1) {
    out.joined.reserve(*seen.wanted);
    walk_records(bytes, [&](std::string_view data) { out.joined += data; });
    first = out.joined;
  }
  out.body = first.substr(message_header_size);
  return out;
}

bool is_host_name(std::string_view name) {
  if (name.empty() || name.size() > host_name_size_max) return false;
  std::size_t label = 0;
  for (const char c : name) {
    if (c == '.') {
      if (label == 0) return false;
      label = 0;
      continue;
    }
    // The underscore is no host name's by the RFCs, but names with it are served.
    const bool fits = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
    if (!fits || ++label > label_size_max) return false;
  }
  return label > 0;
}

// Sets the SNI, or says what is odd about it: IP literals and bad names count as no SNI
// (hardening.md).
const char* take_server_name(std::string_view name, Preface& preface) {
  std::string lowered = ascii::lower_case(name);
  if (lowered.ends_with('.')) lowered.pop_back();
  if (IpAddress::parse(lowered)) return "SNI is an IP address";
  if (!is_host_name(lowered)) return "SNI is no host name";
  preface.sni = std::move(lowered);
  return "";
}

// Exactly one name of type host_name, as OpenSSL and BoringSSL ask too.
bool read_server_name(std::string_view extension, Preface& preface, Hello& outcome) {
  Reader outer(extension);
  Reader list(outer.vector(2));
  const bool host_name = list.number(1) == 0;
  const auto name = list.vector(2);
  if (!outer.ok() || !outer.at_end() || !list.ok() || !list.at_end() || !host_name ||
      name.empty()) {
    outcome = {HelloState::broken, "ClientHello with a malformed server_name"};
    return false;
  }
  outcome.note = take_server_name(name, preface);
  return true;
}

bool read_alpn(std::string_view extension, Preface& preface, Hello& outcome) {
  Reader outer(extension);
  Reader list(outer.vector(2));
  bool fine = outer.ok() && outer.at_end() && !list.at_end();
  while (fine && !list.at_end()) {
    const auto name = list.vector(1);
    fine = list.ok() && !name.empty() && preface.alpn.size() < limits::alpn_protocols;
    if (fine) preface.alpn.emplace_back(name);
  }
  if (!fine) outcome = {HelloState::broken, "ClientHello with a malformed ALPN list"};
  return fine;
}

bool read_extensions(Reader extensions, Preface& preface, Hello& outcome) {
  bool has_name = false, has_alpn = false;
  while (!extensions.at_end()) {
    const auto type = extensions.number(2);
    const auto content = extensions.vector(2);
    if (!extensions.ok()) {
      outcome = {HelloState::broken, "ClientHello with malformed extensions"};
      return false;
    }
    if (type == server_name_extension || type == alpn_extension) {
      bool& seen = type == server_name_extension ? has_name : has_alpn;
      if (seen) {
        outcome = {HelloState::broken, "ClientHello with an extension twice"};
        return false;
      }
      seen = true;
    }
    if (type == server_name_extension && !read_server_name(content, preface, outcome)) return false;
    if (type == alpn_extension && !read_alpn(content, preface, outcome)) return false;
  }
  return true;
}

}  // namespace

Hello read_client_hello(std::string_view bytes, Preface& preface) {
  const Message message = join_records(bytes);
  if (message.outcome.state != HelloState::done) return message.outcome;
  Reader body(message.body);
  const bool version_3 = body.number(1) == 3;
  body.take(1);
  body.take(random_size);
  const auto session_id = body.vector(1);
  const auto ciphers = body.vector(2);
  const auto compressions = body.vector(1);
  if (!body.ok() || !version_3 || session_id.size() > session_id_size_max || ciphers.empty() ||
      ciphers.size() % 2 != 0 || compressions.empty()) {
    return {HelloState::broken, "malformed ClientHello"};
  }
  Hello outcome{HelloState::done, ""};
  if (body.at_end()) return outcome;  // TLS 1.2 and older may come without extensions.
  Reader extensions(body.vector(2));
  if (!body.ok() || !body.at_end()) return {HelloState::broken, "malformed ClientHello"};
  read_extensions(extensions, preface, outcome);
  return outcome;
}

}  // namespace sallyport::sniff
