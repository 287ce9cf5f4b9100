// A worker without listening sockets: tests hand it connections as if they had been captured, and
// play the upstream.
#pragma once
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <future>
#include <sstream>
#include <thread>

#include "agent/istio/decode.h"
#include "agent/mesh/compile.h"
#include "agent/proxy/http_proxy.h"
#include "agent/proxy/tcp_proxy.h"
#include "agent/proxy/worker.h"
#include "tests/support/sockets.h"

namespace sallyport::proxy {

inline const std::string get = "GET /politics HTTP/1.1\r\nHost: app.test\r\n\r\n";
inline const std::string hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

inline bool has(const std::string& text, std::string_view part) {
  return text.find(part) != text.npos;
}

class ProxyTest : public testing::Test {
protected:
  // The port that clients dial is the port of the service, so that route tables and the kernel's
  // view of the client agree.
  ProxyTest() : door_(test::TestSocket::listening()), upstream_(test::TestSocket::listening()) {
    snprintf(log_path_, sizeof log_path_, "%s/sallyport-proxy-test-XXXXXX",
             testing::TempDir().c_str());
    close(mkstemp(log_path_));
    use(one_service());
  }
  ~ProxyTest() override {
    if (worker_) worker_->stop();
    if (thread_.joinable()) thread_.join();
    worker_.reset();
    log_.reset();
    unlink(log_path_);
  }

  uint16_t dialled_port() const { return door_.local().port(); }
  SocketAddress upstream_address() const { return upstream_.local(); }

  // app.test on the dialled port, served by the test at upstream_.
  std::string one_service(const std::string& more = "") const {
    std::ostringstream text;
    text << "apiVersion: networking.istio.io/v1\nkind: ServiceEntry\nmetadata: {name: "
            "app}\nspec:\n  hosts: [app.test]\n"
         << "  ports: [{number: " << dialled_port()
         << ", name: http, protocol: HTTP, targetPort: " << upstream_address().port()
         << "}]\n  resolution: STATIC\n  endpoints: [{address: 127.0.0.1}]\n"
         << more;
    return text.str();
  }

  void use(const std::string& resources, istio::MeshConfig mesh = {}) {
    auto decoded = istio::decode(resources, "test.yaml");
    for (const auto& finding : decoded.findings) ADD_FAILURE() << finding.text();
    use(std::move(decoded), std::move(mesh));
  }
  // With a resource that is refused and has no good version.
  void use_broken(const std::string& resources) {
    use(istio::decode(resources, "test.yaml"), istio::MeshConfig());
  }
  void use(istio::Decoded decoded, istio::MeshConfig mesh) {
    mesh::CompileInput input;
    input.mesh = std::move(mesh);
    input.proxy = proxy_;
    input.refused = std::move(decoded.refused);
    for (auto& resource : decoded.resources)
      input.resources.push_back(std::make_shared<const istio::Resource>(std::move(resource)));
    auto compiled = mesh::compile(input, nullptr, ++version_);
    if (!snapshots_) {
      snapshots_.emplace(compiled.snapshot);
    } else {
      snapshots_->publish(compiled.snapshot);
    }
  }

  void start() {
    auto log = observe::AccessLog::open({{.path = log_path_, .format = log_format_}});
    ASSERT_TRUE(log) << log.error().context;
    log_ = std::move(*log);
    const Worker::Sources sources{*snapshots_, vault_, *log_, metrics_};
    worker_ = std::make_unique<Worker>(sources, Worker::Sockets{}, dns::ResolverOptions{});
    thread_ = std::thread([this] { worker_->run(); });
  }

  // A captured connection: what the test writes reaches serve_http as the app's bytes.
  test::TestSocket dial() {
    return dial_as(
        [](Client client, Worker& worker) { return serve_http(std::move(client), worker); });
  }

  test::TestSocket dial_as(net::Task<void> (*serve)(Client, Worker&)) {
    if (!worker_) start();
    auto app = test::TestSocket::connected(door_.local());
    const int accepted = accept4(door_.fd(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    worker_->post([this, accepted, serve] {
      Client client{.stream = net::Stream(worker_->loop(), accepted),
                    .destination = dialled_.is_set() ? dialled_ : door_.local(),
                    .inbox = {}};
      client.stream.peer();  // As the listener does: it is cached.
      worker_->loop().spawn(serve(std::move(client), *worker_));
    });
    return app;
  }

  // REQUIRES: dialled once.
  void drain(const Worker::Drain& what) {
    worker_->drain(what);
    std::promise<void> done;
    worker_->post([&done] { done.set_value(); });
    done.get_future().wait();
  }

  // The upstream's side of a new connection, once it has read a request's head.
  test::TestSocket accept_request() {
    auto server = upstream_.accept();
    server.read_head();
    return server;
  }

  // The access log as it stands once everything written so far has reached the file.
  mesh::SnapshotPtr newest() const { return snapshots_->current(); }
  std::string log_text() {
    if (worker_) worker_->stop();
    if (thread_.joinable()) thread_.join();
    worker_.reset();
    log_.reset();
    std::ostringstream text;
    text << std::ifstream(log_path_).rdbuf();
    return text.str();
  }

  std::string log_format_;  // "": Istio's default
  istio::Proxy proxy_;
  SocketAddress dialled_;  // what clients dialled; unset: the door
  Published<certs::Vault> vault_{std::make_shared<certs::Vault>()};
  test::TestSocket door_, upstream_;
  observe::WorkerMetrics metrics_;

private:
  char log_path_[256];
  uint64_t version_ = 0;
  std::optional<Published<mesh::Snapshot>> snapshots_;
  std::unique_ptr<observe::AccessLog> log_;
  std::unique_ptr<Worker> worker_;
  std::thread thread_;
};

}  // namespace sallyport::proxy
