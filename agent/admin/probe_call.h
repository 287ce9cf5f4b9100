// One probe under way, as prober.cpp gives it to the file of its kind. Internal to agent/admin.
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/system/error_code.hpp>
#include <chrono>

#include "agent/admin/app_probes.h"
#include "agent/admin/message.h"

namespace sallyport::admin {

struct ProbeCall {
  AppProbe probe;
  ProbeOptions options;
  Request request;  // kubelet's
  Done done;        // called once
  std::chrono::steady_clock::time_point deadline;
};

boost::asio::ip::tcp::endpoint probe_endpoint(const IpAddress& ip, uint16_t port);

// Opens the stream's socket and binds it to the address that the pod's redirects let through. The
// deadline holds for whatever is done on the stream.
boost::system::error_code prepare_stream(boost::beast::tcp_stream& stream, const ProbeCall& call);

// What kubelet shows for a probe that failed by itself.
Response failed_probe(const std::string& what, const boost::system::error_code& error);

void run_http_probe(boost::asio::io_context& io, ProbeCall call);
void run_grpc_probe(boost::asio::io_context& io, ProbeCall call);

}  // namespace sallyport::admin
