#include "agent/http/rewrite.h"

#include <utility>

#include "agent/http/pieces.h"

namespace sallyport::http {
namespace {

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

void add_upgrade(const Head& head, Pieces& pieces) {
  pieces.copy("connection: Upgrade\r\n");
  pieces.field("upgrade: ", head.value_at(head.upgrade));
}

// Where the request came from, and its name.
void add_origin(const Head& head, const RequestAdds& adds, Pieces& pieces) {
  if (adds.edge) return add_edge_fields(head, adds, pieces);
  if (head.forwarded_proto < 0) pieces.field("x-forwarded-proto: ", adds.scheme);
  if (head.request_id < 0) pieces.field("x-request-id: ", adds.request_id);
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
  keep_fields(head, as_it_is ? head.begin : head.start_line, pieces, [&](const Field& field) {
    return field.hop || (adds.edge && edge_drops(head, field, *adds.edge));
  });
  if (head.host < 0)
    pieces.field("host: ", head.authority().empty() ? adds.host : head.authority());
  if (adds.upgrade) add_upgrade(head, pieces);
  if (head.te_trailers) pieces.copy("te: trailers\r\n");
  add_origin(head, adds, pieces);
  add_forwarded_cert(head, adds, pieces);
  if (adds.expected_timeout_ms > 0)
    pieces.field("x-envoy-expected-rq-timeout-ms: ", adds.expected_timeout_ms);
  if (adds.attempt)
    pieces.field("x-envoy-attempt-count: ", int64_t{adds.attempt});
  else if (!adds.edge)
    pass_on_envoys(head, pieces);
  pieces.copy("\r\n");
}

void admit_request(const Head& head, const RequestAdds& adds, Outgoing& out) {
  Pieces pieces(out);
  // A normalised path has left bytes of the old one between its end and the target's.
  pieces.view({head.base + head.begin, head.path_begin + head.path_size - head.begin});
  keep_fields(head, head.target + head.target_size, pieces,
              [&](const Field& field) { return field.hop || edge_drops(head, field, *adds.edge); });
  // Written anew without the names of further fields: those are gone, and none of ours may go.
  if (head.connection_upgrade && head.upgrade >= 0) add_upgrade(head, pieces);
  if (head.close) pieces.copy("connection: close\r\n");
  if (head.keep_alive) pieces.copy("connection: keep-alive\r\n");
  if (head.te_trailers) pieces.copy("te: trailers\r\n");
  add_edge_fields(head, adds, pieces);
  add_forwarded_cert(head, adds, pieces);
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
