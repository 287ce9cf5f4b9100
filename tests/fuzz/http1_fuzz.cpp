// Hostile HTTP/1: the head parsers, the body codec, and what is made of both for the next hop.
//
// Whatever the bytes: nothing is read behind their end; a head means the same in any split; what we
// pass on is a head that we would take ourselves, says the same, and has no field of the last hop.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <vector>

#include "agent/http/body.h"
#include "agent/http/local_reply.h"
#include "agent/http/message/head.h"
#include "agent/http/rewrite.h"

namespace {

using namespace sallyport::http;

void require(bool condition) {
  if (!condition) std::abort();
}

std::string joined(const Outgoing& out) {
  std::string text;
  for (std::size_t i = 0; i < out.count; i++)
    text.append(static_cast<const char*>(out.pieces[i].iov_base), out.pieces[i].iov_len);
  require(text.size() == out.bytes);
  return text;
}

// Fields and bytes are added on the way: near the limits the result may be beyond them.
bool near_limits(const Head& head) { return head.count > 80 || head.size > 60'000; }

template <auto Parser>
void check_split(std::string_view bytes, const Head& head) {
  const std::vector<char> exact(bytes.begin(), bytes.begin() + head.size);
  Head again;
  require(Parser({exact.data(), exact.size()}, again) == Parse::done && again.size == head.size);
  for (std::size_t size : {std::size_t{0}, exact.size() / 2, exact.size() - 1}) {
    const std::vector<char> part(exact.begin(), exact.begin() + static_cast<std::ptrdiff_t>(size));
    require(Parser({part.data(), part.size()}, again) == Parse::more);
  }
}

// The body of `bytes` whole and in pieces of `step`.
void check_body(Body body, std::string_view bytes, std::size_t step) {
  Body pieces = body, content = body;
  const auto taken = body.eat(bytes);
  require(taken <= bytes.size());
  std::size_t at = 0;
  while (at < bytes.size()) {
    const auto piece = bytes.substr(at, step);
    const auto n = pieces.eat(piece);
    at += n;
    if (n < piece.size()) break;
  }
  require(at == taken && pieces.over() == body.over() && pieces.bad() == body.bad());
  require(pieces.content_bytes() == body.content_bytes());
  uint64_t total = 0;
  for (auto rest = bytes;;) {
    const auto part = content.next(rest);
    require(part.content.size() <= part.taken);
    total += part.content.size();
    rest.remove_prefix(part.taken);
    if (part.taken == 0) break;
  }
  require(total == body.content_bytes());
}

// A gateway's two ways, in one step and in two, say the same; and of itself nobody else says who it
// is.
void check_edge(const Head& head) {
  static Head admitted, once, twice;
  static Outgoing out;
  const Edge edge{.peer = sallyport::IpAddress::v4(0x0a000001),
                  .own = {},
                  .client = trusted_client(head, 1, sallyport::IpAddress::v4(0x0a000001)),
                  .trusted_proxies = 1};
  RequestAdds adds{.request_id = "own",
                   .host = "a.test",
                   .forwarded_cert = "Hash=own",
                   .forward_client_cert = ForwardClientCert::sanitize_set,
                   .upgrade = head.wants_upgrade,
                   .edge = &edge};
  write_request(head, adds, out);
  const std::string one_step = joined(out);
  admit_request(head, adds, out);
  const std::string text = joined(out);
  if (near_limits(head)) return;
  require(parse_request(text, admitted) == Parse::done && admitted.size == text.size());
  require(admitted.path() == head.path() && admitted.method() == head.method());
  require(admitted.wants_upgrade == head.wants_upgrade && admitted.minor == head.minor);
  require(admitted.close == head.close && admitted.keep_alive == head.keep_alive);
  require(admitted.expects_continue == head.expects_continue && !admitted.asks_envoy);
  adds.edge = nullptr;
  adds.forward_client_cert = ForwardClientCert::always_forward_only;
  write_request(admitted, adds, out);
  const std::string two_steps = joined(out);
  require(parse_request(one_step, once) == Parse::done);
  require(parse_request(two_steps, twice) == Parse::done && once.count == twice.count);
  for (const Head* of : {&once, &twice}) {
    require(of->value_at(of->request_id) == "own" &&
            of->value_at(of->forwarded_cert) == "Hash=own");
    require(of->last_forwarded_for() == edge.peer);
    require(of->find("x-envoy-external-address") == edge.client.text());
  }
}

void check_request(std::string_view bytes, std::size_t step) {
  static Head head, next;
  static Outgoing out;
  const Parse parsed = parse_request(bytes, head);
  if (parsed == Parse::bad) return require(head.refuse_status >= 400 && *head.refuse_reason);
  if (parsed == Parse::more) return;
  check_split<parse_request>(bytes, head);
  check_body(Body::of_request(head), bytes.substr(head.size), step);
  check_edge(head);
  write_request(head,
                {.request_id = "586f6569-86b0-40dc-abbd-f4488efc6ce1",
                 .host = "a.test",
                 .upgrade = head.wants_upgrade},
                out);
  const std::string text = joined(out);
  if (near_limits(head)) return;
  require(parse_request(text, next) == Parse::done && next.size == text.size());
  require(next.minor == 1 && next.method() == head.method());
  require(next.origin_path() == head.origin_path() && next.path() == next.origin_path());
  require(next.chunked == head.chunked && next.has_length == head.has_length);
  require(next.length == head.length && next.wants_upgrade == head.wants_upgrade);
  require(!next.close && !next.keep_alive && next.request_id >= 0 && next.forwarded_proto >= 0);
  require(next.te_trailers == head.te_trailers);
}

void check_response(std::string_view bytes, std::size_t step, uint8_t minor) {
  static Head head, next;
  static Outgoing out;
  if (parse_response(bytes, head) != Parse::done) return;
  check_split<parse_response>(bytes, head);
  const Body body = Body::of_response(head, "GET");
  check_body(body, bytes.substr(head.size), step);
  const Framing framing = framing_of(head, body, minor);
  HttpDate date;
  write_response(head,
                 {.date = date.at(0),
                  .service_time_ms = 7,
                  .client_minor = minor,
                  .keep = framing == Framing::as_is,
                  .framing = framing},
                 out);
  const std::string text = joined(out);
  if (near_limits(head)) return;
  require(parse_response(text, next) == Parse::done && next.size == text.size());
  require(next.status == head.status && next.minor == minor);
  const bool bodiless = head.status < 200 || head.status == 204;
  require(bodiless || next.has_length == head.has_length);
  require(next.chunked == (head.chunked && framing == Framing::as_is && !bodiless));
  require(!next.close || framing != Framing::as_is);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const uint8_t mode = data[0];
  // An exact allocation: a look behind the end is seen by the sanitizer.
  const std::vector<char> bytes(data + 1, data + size);
  const std::string_view text(bytes.data(), bytes.size());
  const std::size_t step = 1 + (mode >> 2);
  if (mode & 1)
    check_response(text, step, (mode >> 1) & 1);
  else if (mode & 2)
    check_body(Body::of_chunks(), text, step);
  else
    check_request(text, step);
  return 0;
}
