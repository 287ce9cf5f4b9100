// The SPIFFE Workload API as a source of the workload's identity.
#include "certs/ca/workload_source.h"

#include <fcntl.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <protocols/workload.pb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <thread>

#include "certs/ca/grpc_frames.h"
#include "certs/ca/identity_manager.h"
#include "tests/support/test_certs.h"
#include "tests/unit/config/temporary_directory.h"

namespace sallyport::ca {
namespace {

const std::string sleep = "spiffe://example.org/ns/default/sa/sleep";

const test::Authority& root() {
  static const auto one = test::Authority::root("SPIRE");
  return one;
}

std::string der_of(const std::string& pem) {  // every block, one after another
  std::string der;
  const test::detail::Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  char *label = nullptr, *header = nullptr;
  unsigned char* bytes = nullptr;
  long size = 0;
  while (PEM_read_bio(bio.get(), &label, &header, &bytes, &size) == 1) {
    der.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
    OPENSSL_free(label);
    OPENSSL_free(header);
    OPENSSL_free(bytes);
  }
  return der;
}

void add_svid(X509SVIDResponse& response, const std::string& id) {
  const auto issued = root().intermediate("Issuing").issue({.uris = {id}});
  X509SVID& svid = *response.add_svids();
  svid.set_spiffe_id(id);
  svid.set_x509_svid(der_of(issued.chain_pem));
  svid.set_x509_svid_key(der_of(issued.key_pem));
  svid.set_bundle(der_of(root().pem()));
}

std::string svid(const std::string& id = sleep) {
  X509SVIDResponse response;
  add_svid(response, id);
  return response.SerializeAsString();
}

TEST(Svid, TheWorkloadsOwnIsTakenElseTheFirst) {
  X509SVIDResponse response;
  add_svid(response, "spiffe://example.org/first");
  add_svid(response, sleep);
  EXPECT_EQ(read_svid(response.SerializeAsString(), sleep)->spiffe_id, sleep);
  EXPECT_EQ(read_svid(response.SerializeAsString(), "spiffe://example.org/other")->spiffe_id,
            "spiffe://example.org/first");
}

TEST(Svid, WhatCannotBeReadIsNamed) {
  X509SVIDResponse no_key, no_bundle, cut;
  add_svid(no_key, sleep);
  no_key.mutable_svids(0)->set_x509_svid_key("key");
  add_svid(no_bundle, sleep);
  no_bundle.mutable_svids(0)->set_bundle("bundle");
  add_svid(cut, sleep);
  cut.mutable_svids(0)->mutable_x509_svid()->pop_back();
  const std::pair<std::string, const char*> bad[] = {
      {"\xff", "no X509SVIDResponse"},
      {"", "has no identity for this workload"},
      {no_key.SerializeAsString(), "x509_svid_key"},
      {no_bundle.SerializeAsString(), "bundle: certificate 1 cannot be read"},
      {cut.SerializeAsString(), "x509_svid: certificate 2 cannot be read"},
  };
  for (const auto& [message, reason] : bad) {
    const auto read = read_svid(message, sleep);
    ASSERT_FALSE(read) << reason;
    EXPECT_NE(read.error().context.find(reason), std::string::npos) << read.error().context;
  }
}

// A SPIRE agent of one stream at a time: on a thread, over a unix socket.
class Agent {
public:
  explicit Agent(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd_, 4), 0);
    EXPECT_EQ(::pipe2(wake_, O_CLOEXEC), 0);
    thread_ = std::thread([this] { run(); });
  }
  ~Agent() {
    tell('q');
    thread_.join();
    for (const int fd : {fd_, wake_[0], wake_[1]}) ::close(fd);
  }
  void send(const std::string& message) {
    const std::lock_guard lock(mutex_);
    pending_ += grpc_frame(message);
    tell('m');
  }
  void hang_up() { tell('h'); }
  std::string headers() {
    const std::lock_guard lock(mutex_);
    return headers_;
  }

private:
  void tell(char what) { EXPECT_EQ(::write(wake_[1], &what, 1), 1); }

  void run() {
    while (true) {
      pollfd waited[] = {{fd_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
      ::poll(waited, 2, -1);
      char what = 0;
      if (waited[1].revents && ::read(wake_[0], &what, 1) == 1 && what == 'q') return;
      if (!(waited[0].revents & POLLIN)) continue;
      client_ = ::accept(fd_, nullptr, nullptr);
      const bool quit = serve();
      ::close(client_);
      if (quit) return;
    }
  }
  // True: the agent is to end.
  bool serve() {
    nghttp2_session_callbacks* callbacks = nullptr;
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_send_callback(
        callbacks, [](nghttp2_session*, const uint8_t* data, size_t size, int, void* self) {
          return ::send(static_cast<Agent*>(self)->client_, data, size, MSG_NOSIGNAL);
        });
    nghttp2_session_callbacks_set_on_header_callback(
        callbacks, [](nghttp2_session*, const nghttp2_frame*, const uint8_t* name, size_t name_size,
                      const uint8_t* value, size_t value_size, uint8_t, void* self) {
          auto& agent = *static_cast<Agent*>(self);
          const std::lock_guard lock(agent.mutex_);
          agent.headers_.append(reinterpret_cast<const char*>(name), name_size).append("=");
          agent.headers_.append(reinterpret_cast<const char*>(value), value_size).append("\n");
          return 0;
        });
    nghttp2_session_callbacks_set_on_frame_recv_callback(
        callbacks, [](nghttp2_session* session, const nghttp2_frame* frame, void* self) {
          if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM && frame->hd.stream_id)
            static_cast<Agent*>(self)->begin_answer(session, frame->hd.stream_id);
          return 0;
        });
    nghttp2_session* session = nullptr;
    nghttp2_session_server_new(&session, callbacks, this);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, nullptr, 0);
    const bool quit = talk(session);
    nghttp2_session_del(session);
    return quit;
  }
  bool talk(nghttp2_session* session) {
    while (nghttp2_session_send(session) == 0) {
      pollfd waited[] = {{client_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
      ::poll(waited, 2, -1);
      char what = 0;
      if (waited[1].revents && ::read(wake_[0], &what, 1) == 1 && what != 'm') return what == 'q';
      if (stream_) nghttp2_session_resume_data(session, stream_);
      if (!(waited[0].revents & (POLLIN | POLLHUP))) continue;
      uint8_t bytes[4096];
      const ssize_t size = ::read(client_, bytes, sizeof bytes);
      if (size <= 0 || nghttp2_session_mem_recv(session, bytes, static_cast<size_t>(size)) < 0)
        return false;
    }
    return false;
  }
  void begin_answer(nghttp2_session* session, int32_t stream) {
    stream_ = stream;
    nghttp2_data_provider body{};
    body.source.ptr = this;
    body.read_callback = [](nghttp2_session*, int32_t, uint8_t* into, size_t room, uint32_t*,
                            nghttp2_data_source* source, void*) -> ssize_t {
      auto& agent = *static_cast<Agent*>(source->ptr);
      const std::lock_guard lock(agent.mutex_);
      if (agent.pending_.empty()) return NGHTTP2_ERR_DEFERRED;
      const auto size = std::min(room, agent.pending_.size());
      agent.pending_.copy(reinterpret_cast<char*>(into), size);
      agent.pending_.erase(0, size);
      return static_cast<ssize_t>(size);
    };
    const std::string name = ":status", value = "200";
    const nghttp2_nv field{reinterpret_cast<uint8_t*>(const_cast<char*>(name.data())),
                           reinterpret_cast<uint8_t*>(const_cast<char*>(value.data())), 7, 3, 0};
    nghttp2_submit_response(session, stream, &field, 1, &body);
  }

  int fd_, client_ = -1, wake_[2] = {-1, -1};
  int32_t stream_ = 0;
  std::mutex mutex_;
  std::string pending_, headers_;
  std::thread thread_;
};

TEST(WorkloadApi, StreamsTheIdentityAndEachNewerOne) {
  const test::TemporaryDirectory files;
  Agent agent(files.path("s"));
  boost::asio::io_context io;
  certs::VaultEntry now;
  std::vector<std::string> warnings;
  IdentityManager manager(
      io, make_workload_source(io, {"unix://" + files.path("s")}, sleep), {},
      {[&](certs::VaultEntry pair, certs::VaultEntry) { now = std::move(pair); },
       [](const std::string&) {}, [&](const std::string& line) { warnings.push_back(line); }});
  agent.send(svid());
  manager.start();
  EXPECT_FALSE(manager.ready());
  while (!manager.ready()) io.run_one();
  EXPECT_NE(agent.headers().find("workload.spiffe.io=true\n"), std::string::npos);
  EXPECT_NE(agent.headers().find(":path=/SpiffeWorkloadAPI/FetchX509SVID\n"), std::string::npos);
  const auto first = now.pair;
  EXPECT_EQ(first->intermediates().size(), 1u);

  agent.send(svid());
  while (now.pair == first) io.run_one();

  const auto second = now.pair;
  agent.hang_up();
  while (now.problem.empty()) io.run_one();
  EXPECT_EQ(now.pair, second);
  ASSERT_EQ(warnings.size(), 1u);
  EXPECT_NE(warnings[0].find("the call was cut off"), std::string::npos) << warnings[0];
  agent.send(svid());
  while (now.pair == second) io.run_one();  // asked again after a second
  EXPECT_EQ(now.problem, "");
}

TEST(WorkloadApi, EndpointsAreTheStandards) {
  const auto address = [](const char* endpoint) {
    const auto found = workload_address(endpoint);
    return found ? *found : found.error().context;
  };
  EXPECT_EQ(address("unix:///run/spire.sock"), "unix:///run/spire.sock");
  EXPECT_EQ(address("unix:/run/spire.sock"), "unix:///run/spire.sock");
  EXPECT_EQ(address("tcp://127.0.0.1:8081"), "127.0.0.1:8081");
  EXPECT_EQ(address("tcp://[::1]:8081"), "[::1]:8081");
  for (const char* bad : {"tcp://spire:8081", "tcp://localhost:8081", "tcp://127.0.0.1",
                          "/run/spire.sock", "127.0.0.1:8081", "unix:run", ""})
    EXPECT_NE(address(bad).find("the Workload API's endpoint"), std::string::npos) << bad;
}

TEST(WorkloadApi, AKeyInClearOverTheNetworkIsWarnedOf) {
  boost::asio::io_context io;
  std::string warning;
  const auto warn = [&](const std::string& line) { warning += line; };
  make_workload_source(io, {"tcp://127.0.0.1:8081"}, sleep, warn);
  make_workload_source(io, {"unix:///run/spire.sock"}, sleep, warn);
  EXPECT_EQ(warning, "");
  make_workload_source(io, {"tcp://10.0.0.1:8081"}, sleep, warn);
  EXPECT_NE(warning.find("tcp://10.0.0.1:8081 sends the workload's private key in clear"),
            std::string::npos);
}

TEST(WorkloadApi, ASocketThatIsNotThereIsNamed) {
  boost::asio::io_context io;
  const auto source = make_workload_source(io, {"unix:///nowhere/socket"}, sleep);
  std::string problem;
  source->fetch([&](Result<IdentityMaterial> got) { problem = got.error().context; });
  while (problem.empty()) io.run_one();
  EXPECT_EQ(problem, "connect unix:///nowhere/socket: No such file or directory");
}

}  // namespace
}  // namespace sallyport::ca
