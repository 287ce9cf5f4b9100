// What a connection of the CA's server does for a client that has not shown who it is.
#include "certs/ca/server_connection.h"

#include <gtest/gtest.h>

#include "certs/ca/server_limits.h"
#include "tests/support/grpc_session.h"

namespace sallyport::ca {
namespace {

class ServerConnectionTest : public testing::Test {
protected:
  ServerConnectionTest() {
    connection_ = std::make_shared<ServerConnection>(io_, handler_, "10.0.0.1:1",
                                                     [this](const std::string&) { ended_ = true; });
    auto transport = std::make_unique<test::FedTransport>(io_, 16 * 1024, written_);
    transport_ = transport.get();
    connection_->start([&](const Connected& done) {
      done(std::move(transport));
      return nullptr;
    });
    feed(test::h2_preface());
  }
  ~ServerConnectionTest() override {
    connection_->close();
    settle();
  }
  void settle() {
    io_.restart();
    while (io_.poll() != 0) {
    }
  }
  void feed(const std::string& bytes) {
    transport_->feed(bytes);
    settle();
  }
  int answers() const { return test::h2_frames_of(1, written_); }

  boost::asio::io_context io_;
  std::string written_;
  int asked_ = 0;
  std::vector<std::string> served_;
  bool ended_ = false;
  GrpcServer::Handler handler_ =
      [this](const ServerCall& call) -> std::variant<ServerAnswer, GrpcServer::Serve> {
    ++asked_;
    if (call.authorization != "Bearer good") return ServerAnswer{GrpcCode::unauthenticated, "", ""};
    return [this](const std::string& message) {
      served_.push_back(message);
      return ServerAnswer{GrpcCode::ok, "", "answer"};
    };
  };
  std::shared_ptr<ServerConnection> connection_;
  test::FedTransport* transport_ = nullptr;
};

TEST_F(ServerConnectionTest, WhoCallsIsAskedBeforeTheMessageAndToldAfterIt) {
  feed(test::h2_call(1, "/m", ""));
  EXPECT_EQ(asked_, 1);
  EXPECT_EQ(answers(), 0);
  feed(test::h2_data(1, grpc_frame("hello")));
  EXPECT_EQ(answers(), 1);
  EXPECT_EQ(asked_, 1);
  EXPECT_TRUE(served_.empty());
}

TEST_F(ServerConnectionTest, ACallThatSucceedsProvesTheConnection) {
  EXPECT_TRUE(connection_->busy());
  feed(test::h2_call(1, "/m", "Bearer good") + test::h2_data(1, grpc_frame("hello")));
  EXPECT_EQ(served_, std::vector<std::string>{"hello"});
  EXPECT_EQ(answers(), 2);  // and the trailers
  EXPECT_TRUE(connection_->proven());
  EXPECT_FALSE(connection_->busy());
}

TEST_F(ServerConnectionTest, NoCallThatIsRefusedRenewsItsTime) {
  const auto since = connection_->since();
  feed(test::h2_call(1, "/m", "") + test::h2_data(1, grpc_frame("hello")));
  feed(test::h2_call(3, "/m", ""));
  EXPECT_FALSE(connection_->proven());
  EXPECT_TRUE(connection_->busy());
  EXPECT_EQ(connection_->since(), since);
}

TEST_F(ServerConnectionTest, NorAreThereManyOfThem) {
  uint32_t stream = 1;
  for (std::size_t i = 0; i < limits::grpc_first_calls; ++i, stream += 2)
    feed(test::h2_call(stream, "/m", "") + test::h2_data(stream, grpc_frame("hello")));
  EXPECT_EQ(answers(), int(limits::grpc_first_calls));
  EXPECT_FALSE(ended_);
  feed(test::h2_call(stream, "/m", ""));
  EXPECT_TRUE(ended_);
}

TEST_F(ServerConnectionTest, TwoMessagesAreNoUnaryCall) {
  feed(test::h2_call(1, "/m", "Bearer good") +
       test::h2_data(1, grpc_frame("hello") + grpc_frame("again")));
  feed(test::h2_call(3, "/m", "Bearer good") + test::h2_data(3, grpc_frame("hello"), false) +
       test::h2_data(3, grpc_frame("again")));
  feed(test::h2_call(5, "/m", "Bearer good") + test::h2_data(5, grpc_frame("hello").substr(0, 6)));
  EXPECT_TRUE(served_.empty());
  EXPECT_EQ(answers(), 3);
}

}  // namespace
}  // namespace sallyport::ca
