#include "agent/http/rewrite.h"

#include <charconv>
#include <cstdlib>
#include <cstring>

namespace sallyport::http {
namespace {

// Appends to an Outgoing; what lies side by side becomes one piece.
class Pieces {
public:
  explicit Pieces(Outgoing& out) : out_(out), at_(out.scratch.data()) { out.count = out.bytes = 0; }

  // REQUIRES: the bytes live until the pieces are written.
  void view(std::string_view bytes) {
    if (bytes.empty()) return;
    out_.bytes += bytes.size();
    if (out_.count) {
      iovec& last = out_.pieces[out_.count - 1];
      if (static_cast<const char*>(last.iov_base) + last.iov_len == bytes.data()) {
        last.iov_len += bytes.size();
        return;
      }
    }
    // One is kept for the body that a caller puts behind the head. A head that needs more was
    // counted wrongly in pieces_max: better no process than one that writes past its memory.
    if (out_.count + 1 >= Outgoing::pieces_max) std::abort();
    out_.pieces[out_.count++] = {const_cast<char*>(bytes.data()), bytes.size()};
  }

  void copy(std::string_view bytes) {
    if (bytes.empty()) return;
    std::memcpy(at_, bytes.data(), bytes.size());
    const char* const begin = at_;
    at_ += bytes.size();
    view({begin, bytes.size()});
  }

  // A field; `name` with its colon and blank. A long value is not worth a copy.
  void field(std::string_view name, std::string_view value) {
    copy(name);
    if (value.size() <= 64)
      copy(value);
    else
      view(value);
    copy("\r\n");
  }

  void field(std::string_view name, int64_t value) {
    char digits[20];
    const auto end = std::to_chars(digits, digits + sizeof digits, value).ptr;
    field(name, std::string_view(digits, static_cast<std::size_t>(end - digits)));
  }

private:
  Outgoing& out_;
  char* at_;  // at most 8 fields of ours go into the 512 bytes, each under 35 + 64
};

// Everything from `from` to the last field but those that `drops`.
template <class Drops>
void keep_fields(const Head& head, uint32_t from, Pieces& pieces, Drops drops) {
  for (std::size_t i = 0; i < head.count; i++) {
    const Field& field = head.fields[i];
    if (!drops(field)) continue;
    pieces.view({head.base + from, field.begin - from});
    from = field.end;
  }
  pieces.view({head.base + from, head.size - 2 - from});
}

// x-forwarded-client-cert: what came, from every field of that name, and our element behind it.
void add_forwarded_cert(const Head& head, std::string_view own, Pieces& pieces) {
  if (own.empty()) return;
  pieces.copy("x-forwarded-client-cert: ");
  for (std::size_t i = 0; head.forwarded_cert >= 0 && i < head.count; i++) {
    const Field& field = head.fields[i];
    if (!same_name(head.name(field), "x-forwarded-client-cert") || !field.value_size) continue;
    pieces.view(head.value(field));
    pieces.view(",");
  }
  pieces.view(own);
  pieces.view("\r\n");
}

// What the sender's own sidecar has said, for the application (Envoy passes it on where it sets
// nothing itself).
void pass_on_envoys(const Head& head, Pieces& pieces) {
  if (!head.asks_envoy) return;
  for (const auto& [name, with_colon] :
       {std::pair<std::string_view, std::string_view>("x-envoy-attempt-count",
                                                      "x-envoy-attempt-count: "),
        {"x-envoy-expected-rq-timeout-ms", "x-envoy-expected-rq-timeout-ms: "}}) {
    if (const auto value = head.find(name); !value.empty()) pieces.field(with_colon, value);
  }
}

}  // namespace

void write_request(const Head& head, const RequestAdds& adds, Outgoing& out) {
  Pieces pieces(out);
  const bool as_it_is =
      head.minor == 1 && head.path_begin == head.target && head.path_size == head.target_size;
  if (!as_it_is) {
    pieces.view({head.base + head.begin, head.method_size + 1});
    pieces.view(head.origin_path());
    pieces.view(" HTTP/1.1\r\n");
  }
  keep_fields(head, as_it_is ? head.begin : head.start_line, pieces,
              [](const Field& field) { return field.hop; });
  if (head.host < 0)
    pieces.field("host: ", head.authority().empty() ? adds.host : head.authority());
  if (adds.upgrade) {
    pieces.copy("connection: Upgrade\r\n");
    pieces.field("upgrade: ", head.value_at(head.upgrade));
  }
  if (head.te_trailers) pieces.copy("te: trailers\r\n");
  if (head.forwarded_proto < 0) pieces.field("x-forwarded-proto: ", adds.scheme);
  if (head.request_id < 0) pieces.field("x-request-id: ", adds.request_id);
  add_forwarded_cert(head, adds.forwarded_cert, pieces);
  if (adds.expected_timeout_ms > 0)
    pieces.field("x-envoy-expected-rq-timeout-ms: ", adds.expected_timeout_ms);
  if (adds.attempt)
    pieces.field("x-envoy-attempt-count: ", int64_t{adds.attempt});
  else
    pass_on_envoys(head, pieces);
  pieces.copy("\r\n");
}

Framing framing_of(const Head& response, const Body& body, uint8_t client_minor) {
  if (body.until_end()) return Framing::until_close;
  return response.chunked && client_minor == 0 ? Framing::dechunked : Framing::as_is;
}

void write_response(const Head& head, const ResponseAdds& adds, Outgoing& out) {
  Pieces pieces(out);
  const bool same_version = head.minor == adds.client_minor;
  if (!same_version) pieces.view(adds.client_minor ? "HTTP/1.1" : "HTTP/1.0");
  // 1xx and 204 have no body and must not speak of one (RFC 9110 section 8.6, RFC 9112
  // section 6.1).
  const bool bodiless = head.status < 200 || head.status == 204;
  const bool drop_coding = bodiless || adds.framing == Framing::dechunked;
  keep_fields(head, same_version ? 0 : 8, pieces, [&](const Field& field) {
    if (field.hop) return true;
    if (drop_coding && same_name(head.name(field), "transfer-encoding")) return true;
    return bodiless && same_name(head.name(field), "content-length");
  });
  const bool interim = head.status < 200 && head.status != 101;
  if (!interim) {
    if (adds.service_time_ms >= 0)
      pieces.field("x-envoy-upstream-service-time: ", adds.service_time_ms);
    if (head.date < 0 && !adds.date.empty()) pieces.field("date: ", adds.date);
    if (!adds.server.empty())
      pieces.field("server: ", adds.server);
    else if (head.server >= 0)
      pieces.field("server: ", head.value_at(head.server));
    if (head.status == 101) {
      pieces.copy("connection: Upgrade\r\n");
      if (head.upgrade >= 0) pieces.field("upgrade: ", head.value_at(head.upgrade));
    } else if (!adds.keep) {
      pieces.copy("connection: close\r\n");
    } else if (adds.client_minor == 0) {
      pieces.copy("connection: keep-alive\r\n");
    }
  }
  pieces.copy("\r\n");
}

}  // namespace sallyport::http
