// gRPC health checks against a server that speaks HTTP/2 by nghttp2.
#include <gtest/gtest.h>
#include <nghttp2/nghttp2.h>

#include <boost/asio/io_context.hpp>
#include <thread>

#include "agent/admin/prober.h"
#include "tests/support/sockets.h"

namespace sallyport::admin {
namespace {

using test::TestSocket;

struct Health {
  std::string message;      // of the answer, framed; empty: none
  std::string grpc_status;  // in the trailers, or alone
};

// Serves one connection with one call, which it answers as told.
class HealthServer {
public:
  explicit HealthServer(Health health) : health_(std::move(health)), thread_([this] { serve(); }) {}
  ~HealthServer() {
    ::shutdown(socket_.fd(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
  }
  uint16_t port() const { return socket_.local().port(); }
  // What was asked for: path, then the message.
  std::pair<std::string, std::string> asked() {
    thread_.join();
    return {path_, body_};
  }

private:
  static nghttp2_nv field(const std::string& name, const std::string& value) {
    return {reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
            reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), name.size(), value.size(),
            NGHTTP2_NV_FLAG_NONE};
  }
  static ssize_t read_answer(nghttp2_session* session, int32_t stream, uint8_t* into, std::size_t,
                             uint32_t* flags, nghttp2_data_source*, void* self) {
    const auto& server = *static_cast<HealthServer*>(self);
    server.health_.message.copy(reinterpret_cast<char*>(into), server.health_.message.size());
    *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
    const std::string name = "grpc-status";
    const nghttp2_nv trailer = field(name, server.health_.grpc_status);
    nghttp2_submit_trailer(session, stream, &trailer, 1);
    return static_cast<ssize_t>(server.health_.message.size());
  }
  void answer(nghttp2_session* session, int32_t stream) {
    const std::string names[] = {":status", "content-type", "grpc-status"};
    const std::string values[] = {"200", "application/grpc", health_.grpc_status};
    const nghttp2_nv head[] = {field(names[0], values[0]), field(names[1], values[1]),
                               field(names[2], values[2])};
    const nghttp2_data_provider body{.source = {}, .read_callback = read_answer};
    if (health_.message.empty()) {
      nghttp2_submit_response(session, stream, head, 3, nullptr);
    } else {
      nghttp2_submit_response(session, stream, head, 2, &body);
    }
  }
  void serve() {
    const TestSocket client = socket_.accept();
    if (!client) return;
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame*, const uint8_t* name, std::size_t size,
                      const uint8_t* value, std::size_t value_size, uint8_t, void* self) {
          if (std::string_view(reinterpret_cast<const char*>(name), size) == ":path")
            static_cast<HealthServer*>(self)->path_.assign(reinterpret_cast<const char*>(value),
                                                           value_size);
          return 0;
        });
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(
        callbacks,
        [](nghttp2_session*, uint8_t, int32_t, const uint8_t* data, std::size_t size, void* self) {
          static_cast<HealthServer*>(self)->body_.append(reinterpret_cast<const char*>(data), size);
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session* session, const nghttp2_frame* frame, void* self) {
          if (frame->hd.type == NGHTTP2_DATA && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
            static_cast<HealthServer*>(self)->answer(session, frame->hd.stream_id);
          return 0;
        });
    nghttp2_session* session = nullptr;
    nghttp2_session_server_new(&session, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
    for (;;) {
      const uint8_t* out = nullptr;
      for (ssize_t count; (count = nghttp2_session_mem_send(session, &out)) > 0;)
        client.send({reinterpret_cast<const char*>(out), static_cast<std::size_t>(count)});
      char in[4096];
      const ssize_t got = ::recv(client.fd(), in, sizeof in, 0);
      if (got <= 0) break;
      nghttp2_session_mem_recv(session, reinterpret_cast<uint8_t*>(in),
                               static_cast<std::size_t>(got));
    }
    nghttp2_session_del(session);
  }

  const Health health_;
  std::string path_, body_;
  TestSocket socket_ = TestSocket::listening();
  std::thread thread_;
};

Response probe(uint16_t port, const std::string& service = "") {
  boost::asio::io_context io{1};
  const auto probes =
      decode_app_probes(R"({"/app-health/web/livez": {"grpc": {"port": )" + std::to_string(port) +
                        R"(, "service": ")" + service + R"("}, "timeoutSeconds": 20}})");
  Prober prober(io, *probes, {*IpAddress::parse("127.0.0.1"), 15020});
  Response got{.status = 0};
  prober.probe("/app-health/web/livez", {.method = "GET"},
               [&](Response answer) { got = std::move(answer); });
  io.run();
  return got;
}

std::string status_message(char status) { return std::string("\0\0\0\0\2\x08", 6) + status; }

TEST(GrpcProbe, ServingIsSuccess) {
  HealthServer server({status_message(1), "0"});
  EXPECT_EQ(probe(server.port(), "ready").status, 200);
  const auto [path, body] = server.asked();
  EXPECT_EQ(path, "/grpc.health.v1.Health/Check");
  EXPECT_EQ(body, std::string("\0\0\0\0\7\x0a\5ready", 12));
}

struct Case {
  const char* name;
  Health health;
  const char* reason;
};
class GrpcProbeFails : public testing::TestWithParam<Case> {};

TEST_P(GrpcProbeFails, WithTheReason) {
  HealthServer server(GetParam().health);
  const Response answer = probe(server.port());
  EXPECT_EQ(answer.status, 500);
  EXPECT_NE(answer.body.find(GetParam().reason), std::string::npos) << answer.body;
}

INSTANTIATE_TEST_SUITE_P(
    Spec, GrpcProbeFails,
    testing::Values(Case{"not serving", {status_message(2), "0"}, "NOT_SERVING"},
                    Case{"no status in the message", {std::string(5, '\0'), "0"}, "UNKNOWN"},
                    Case{"an error after the message", {status_message(1), "13"}, "status 13"},
                    Case{"no such service", {"", "5"}, "status 5"},
                    Case{"no health protocol", {"", "12"}, "does not implement"},
                    Case{"nonsense", {std::string("\0\0\0\0\2\x12\1", 7), "0"}, "no status"}),
    [](const auto& info) {
      std::string name = info.param.name;
      std::replace(name.begin(), name.end(), ' ', '_');
      return name;
    });

TEST(GrpcProbe, WhoSpeaksNoHttp2HasFailed) {
  const TestSocket socket = TestSocket::listening();
  std::thread server([&] {
    const TestSocket client = socket.accept();
    client.read_exactly(24);  // the preface
    client.send("HTTP/1.1 400 Bad Request\r\n\r\n");
  });
  EXPECT_EQ(probe(socket.local().port()).status, 500);
  server.join();
}

}  // namespace
}  // namespace sallyport::admin
