#include "agent/admin/prober.h"

#include <netinet/in.h>

#include <boost/beast/core/string.hpp>
#include <set>

#include "agent/admin/probe_call.h"
#include "agent/core/limits.h"
#include "certs/describe.h"

namespace sallyport::admin {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

static_assert(limits::app_probes_at_once + app_hooks_at_once < limits::admin_connections);

bool is_of_a_proxy(std::string_view header) {
  for (const std::string_view first : {"x-forwarded-", "x-envoy-"})
    if (boost::beast::iequals(header.substr(0, first.size()), first)) return true;
  return false;
}

// Only whether it can be connected to.
void run_tcp_probe(asio::io_context& io, ProbeCall call) {
  auto stream = std::make_shared<boost::beast::tcp_stream>(io);
  if (const auto error = prepare_stream(*stream, call)) return call.done(failed_probe("", error));
  stream->async_connect(probe_endpoint(call.options.destination, call.probe.port),
                        [stream, done = std::move(call.done)](error_code error) {
                          done(error ? failed_probe("connect", error) : Response{200, ""});
                        });
}

}  // namespace

tcp::endpoint probe_endpoint(const IpAddress& ip, uint16_t port) {
  if (ip.is_v4()) {
    asio::ip::address_v4::bytes_type bytes;
    std::copy_n(ip.bytes(), bytes.size(), bytes.begin());
    return {asio::ip::address_v4(bytes), port};
  }
  asio::ip::address_v6::bytes_type bytes;
  std::copy_n(ip.bytes(), bytes.size(), bytes.begin());
  return {asio::ip::address_v6(bytes), port};
}

error_code prepare_stream(boost::beast::tcp_stream& stream, const ProbeCall& call) {
  const bool v4 = call.options.destination.is_v4();
  auto& socket = stream.socket();
  error_code error;
  socket.open(v4 ? tcp::v4() : tcp::v6(), error);
  if (error) return error;
  // Else each probe would hold one of the few ports of its own.
  const int one = 1;
  setsockopt(socket.native_handle(), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
  in6_addr six{};
  six.s6_addr[15] = 6;
  socket.bind(probe_endpoint(v4 ? IpAddress::v4(0x7f000006) : IpAddress::v6(six), 0), error);
  stream.expires_at(call.deadline);
  return error;
}

Response failed_probe(const std::string& what, const error_code& error) {
  return {500, (what.empty() ? std::string() : what + ": ") + error.message() + "\n"};
}

struct Prober::State {
  void judge(const std::string& path, const Response& response);

  asio::io_context& io;
  AppProbes probes;
  ProbeOptions options;
  ProbeLog log;
  std::set<std::string> failing = {};  // paths
  std::size_t probes_running = 0, hooks_running = 0;
};

namespace {

// As kubelet judges an answer.
bool is_success(const Response& response) {
  return response.status >= 200 && response.status < 400;
}

std::string app_place(const AppProbe& probe) {
  const std::string port = std::to_string(probe.port);
  if (probe.kind == AppProbe::Kind::tcp_socket) return "app TCP port = " + port;
  if (probe.kind == AppProbe::Kind::grpc)
    return "app gRPC port = " + port + ", service = \"" + probe.service + "\"";
  return "app URL path = " + probe.path + ", port = " + port;
}

// "500: connect: Connection refused"
std::string cause_of(const Response& response) {
  constexpr std::size_t bytes_shown = 200;
  const std::string line = response.body.substr(0, response.body.find_first_of("\r\n"));
  return std::to_string(response.status) +
         (line.empty() ? "" : ": " + certs::printable(line, bytes_shown));
}

}  // namespace

// The words of Istio's agent.
void Prober::State::judge(const std::string& path, const Response& response) {
  const std::string place =
      "original URL path = " + path + ", " + app_place(probes.find(path)->second);
  if (is_success(response)) {
    if (failing.erase(path) && log.info) log.info("Request to probe app succeeds again: " + place);
  } else if (failing.insert(path).second && log.warn) {
    log.warn("Request to probe app failed: " + cause_of(response) + ", " + place);
  }
}

Prober::Prober(asio::io_context& io, AppProbes probes, const ProbeOptions& options, ProbeLog log)
    : state_(std::make_shared<State>(State{io, std::move(probes), options, std::move(log)})) {}
Prober::Prober(Prober&&) noexcept = default;
Prober::~Prober() = default;

void Prober::probe(std::string_view path, const Request& request, const Done& done) {
  const auto found = state_->probes.find(path);
  if (found == state_->probes.end()) {
    return done({400, "app prober config does not exists for " + std::string(path) + "\n"});
  }
  const bool hook = path.starts_with("/app-lifecycle/");
  std::size_t& running = hook ? state_->hooks_running : state_->probes_running;
  if (running >= (hook ? app_hooks_at_once : limits::app_probes_at_once)) {
    return done({503, std::string("too many ") + (hook ? "hooks" : "probes") + " are under way\n"});
  }
  ++running;
  ProbeCall call{.probe = found->second, .options = state_->options, .request = request};
  std::erase_if(call.request.headers,
                [](const auto& header) { return is_of_a_proxy(header.first); });
  call.deadline = std::chrono::steady_clock::now() + call.probe.timeout;
  call.done = [state = state_, &running, path = found->first, done](Response response) {
    --running;
    state->judge(path, response);
    done(std::move(response));
  };
  asio::io_context& io = state_->io;
  switch (found->second.kind) {
    case AppProbe::Kind::http_get:
      return run_http_probe(io, std::move(call));
    case AppProbe::Kind::tcp_socket:
      return run_tcp_probe(io, std::move(call));
    case AppProbe::Kind::grpc:
      return run_grpc_probe(io, std::move(call));
  }
}

}  // namespace sallyport::admin
