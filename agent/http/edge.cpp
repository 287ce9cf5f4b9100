#include "agent/http/edge.h"

#include "agent/http/pieces.h"

namespace sallyport::http {
namespace {

// The values of all fields of that name, joined with commas; `first` is the first one's index, -1:
// there is none. False: nothing was added.
bool add_values(const Head& head, int first, std::string_view lower_name, Pieces& pieces) {
  if (first < 0) return false;
  bool any = false;
  for (int i = first; i < head.count; i++) {
    const auto value = head.value_at(i);
    if (value.empty() || !same_name(head.name(head.fields[std::size_t(i)]), lower_name)) continue;
    if (any) pieces.view(",");
    pieces.view(value);
    any = true;
  }
  return any;
}

bool believes_proto(const Head& head, const Edge& edge) {
  return edge.trusted_proxies > 0 && head.forwarded_proto >= 0;
}

void add_forwarded_for(const Head& head, const Edge& edge, Pieces& pieces) {
  const IpAddress& sender = edge.peer.is_loopback() ? edge.own : edge.peer;
  if (!sender.is_set() && head.forwarded_for < 0) return;
  pieces.copy("x-forwarded-for: ");
  const bool came = add_values(head, head.forwarded_for, "x-forwarded-for", pieces);
  if (came && sender.is_set()) pieces.copy(",");
  if (sender.is_set()) pieces.address(sender);
  pieces.copy("\r\n");
}

}  // namespace

IpAddress trusted_client(const Head& head, uint32_t trusted_proxies, const IpAddress& peer) {
  if (trusted_proxies == 0) return peer;
  const IpAddress named = head.last_forwarded_for(trusted_proxies - 1);
  return named.is_set() ? named : peer;
}

bool edge_drops(const Head& head, const Field& field, const Edge& edge) {
  return field.edge &&
         !(believes_proto(head, edge) && same_name(head.name(field), "x-forwarded-proto"));
}

void add_edge_fields(const Head& head, const RequestAdds& adds, Pieces& pieces) {
  const Edge& edge = *adds.edge;
  add_forwarded_for(head, edge, pieces);
  if (!believes_proto(head, edge)) pieces.field("x-forwarded-proto: ", adds.scheme);
  if (edge.client.is_set()) {
    pieces.copy("x-envoy-external-address: ");
    pieces.address(edge.client);
    pieces.copy("\r\n");
  }
  pieces.field("x-request-id: ", adds.request_id);
}

void add_forwarded_cert(const Head& head, const RequestAdds& adds, Pieces& pieces) {
  using enum ForwardClientCert;
  const auto mode = adds.forward_client_cert;
  const bool shown = !adds.forwarded_cert.empty();
  const bool keeps =
      mode == always_forward_only || (shown && (mode == forward_only || mode == append_forward));
  const bool sets = shown && (mode == append_forward || mode == sanitize_set);
  const bool has_some = keeps && head.forwarded_cert >= 0;
  if (!has_some && !sets) return;
  pieces.copy("x-forwarded-client-cert: ");
  const bool came =
      has_some && add_values(head, head.forwarded_cert, "x-forwarded-client-cert", pieces);
  if (came && sets) pieces.view(",");
  if (sets) pieces.view(adds.forwarded_cert);
  pieces.copy("\r\n");
}

}  // namespace sallyport::http
