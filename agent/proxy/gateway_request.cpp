// Exchange, of what comes in at a gateway: who the client is, the server's routes, redirection to
// HTTPS, AuthorizationPolicy.
#include "agent/mesh/decide.h"
#include "agent/proxy/exchange.h"
#include "agent/proxy/gateway.h"
#include "agent/proxy/worker.h"

namespace sallyport::proxy {

// What the request's first hop tells all others (istio-api.md 2.14, 3.5).
void Exchange::describe_edge() {
  const auto& topology = worker_.snapshot()->mesh.default_config.gateway_topology;
  const auto source = client_.source();
  edge_.peer = source.ip();
  edge_.own = worker_.own_address();
  edge_.trusted_proxies = topology.trusted_proxies;
  edge_.client = http::trusted_client(request_, topology.trusted_proxies, edge_.peer);
  record_.downstream_remote = edge_.client == edge_.peer ? source : SocketAddress(edge_.client, 0);
  worker_.request_ids().write(request_id_);  // An outsider's is nobody's.
  record_.request_id = {request_id_, sizeof request_id_};
  const auto told = request_.value_at(request_.forwarded_proto);
  const bool trusts = topology.trusted_proxies > 0 && !told.empty();
  record_.scheme = trusts ? told : client_.inbound->tls ? "https" : "http";
  describe_forwarded_for();
}

// As the upstream is told.
void Exchange::describe_forwarded_for() {
  if (!worker_.log().on()) return;
  const auto& sender = edge_.peer.is_loopback() ? edge_.own : edge_.peer;
  if (!sender.is_set()) return;
  for (int i = std::max<int>(request_.forwarded_for, 0); i < request_.count; i++) {
    const auto& field = request_.fields[std::size_t(i)];
    if (request_.forwarded_for < 0 || !field.value_size) continue;
    if (http::same_name(request_.name(field), "x-forwarded-for"))
      (edge_forwarded_for_ += request_.value(field)) += ',';
  }
  edge_forwarded_for_ += sender.text();
  record_.forwarded_for = edge_forwarded_for_;
}

// Rules see what the edge makes of a request, not what its sender claims.
std::optional<Refusal> Exchange::admit() {
  if (admitted_ || !client_.of_gateway()) return std::nullopt;
  auto& out = (*heads_).out;
  http::admit_request(request_, request_adds(), out);
  auto made = std::make_unique<EditedHead>();
  for (std::size_t i = 0; i < out.count; i++)
    made->text.append(static_cast<const char*>(out.pieces[i].iov_base), out.pieces[i].iov_len);
  if (http::parse_composed_request(made->text, made->head) != http::Parse::done)
    return Refusal{
        .status = 431, .flags = observe::DPE, .details = "http1.headers_too_large", .body = {}};
  admitted_ = std::move(made);
  return std::nullopt;
}

// The same for every path, and before any route is asked (istiod's requireTls).
Refusal Exchange::redirect_to_https() const {
  Refusal answer{
      .status = 301, .flags = observe::no_flag, .details = "direct_response", .body = {}};
  answer.location = "https://";
  (answer.location += record_.authority) += record_.path;
  return answer;
}

namespace {

// Nobody serves the client's next request: its server is gone or closed, or asks for a certificate
// that the client has not shown on these terms.
bool is_locked_out(const mesh::GatewayChainPtr* now, const InboundSide& was) {
  if (!now || !(*now)->http || (*now)->refused) return true;
  const auto& tls = (*now)->tls;
  return tls && tls != was.terms && was.terms && mesh::asks_anew(*tls, *was.terms);
}

}  // namespace

// Decided on the newest snapshot.
std::optional<Refusal> Exchange::route_gateway() {
  const auto& config = *worker_.snapshot();
  const auto* chain = chain_now(config, client_);
  const auto& was = *client_.inbound;
  if (is_locked_out(chain, was)) {
    return Refusal{.status = 404,
                   .flags = observe::NR,
                   .details = "route_not_found",
                   .body = {},
                   .close = true};
  }
  // A connection that the server would no longer take so serves its last request, as Envoy drains
  // one.
  outdated_ = !is_still_served(chain, was);
  if ((*chain)->http->by_fields || config.inbound.authorization) {
    if (auto refusal = admit()) return refusal;
  }
  const mesh::RequestFacts facts{.authority = record_.authority,
                                 .path = record_.path,
                                 .method = record_.method,
                                 .scheme = record_.scheme,
                                 .head = &seen(),
                                 .random = worker_.random()};
  const auto plan = mesh::decide_gateway_request(**chain, facts, came_by_https());
  // What a policy denies has a route and a cluster in log and metrics, as Envoy's has.
  if (plan.route && !plan.to_https) follow(plan, mesh::delivery_of(*plan.route, nullptr));
  if (auto denied = authorize()) return denied;
  if (plan.to_https) return redirect_to_https();
  if (!plan.route)
    return Refusal{.status = 404, .flags = observe::NR, .details = "route_not_found", .body = {}};
  return std::nullopt;
}

}  // namespace sallyport::proxy
