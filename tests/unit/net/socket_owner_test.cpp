// Who has a socket open, as the kernel tells it: a half-closed client is still there, a closed one
// is not.
#include "agent/net/socket_owner.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

namespace sallyport::net {
namespace {

SocketAddress name_of(int fd, bool peer) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  auto* address = reinterpret_cast<sockaddr*>(&storage);
  EXPECT_EQ((peer ? getpeername(fd, address, &size) : getsockname(fd, address, &size)), 0);
  return SocketAddress::from(address);
}

class SocketOwnerTest : public testing::TestWithParam<const char*> {
protected:
  void SetUp() override {
    const SocketAddress loopback(*IpAddress::parse(GetParam()), 0);
    sockaddr_storage storage{};
    const socklen_t size = loopback.fill(storage);
    listener_ = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&storage), size), 0);
    ASSERT_EQ(listen(listener_, 1), 0);
    const socklen_t known = name_of(listener_, false).fill(storage);
    client_ = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(connect(client_, reinterpret_cast<sockaddr*>(&storage), known), 0);
    server_ = accept(listener_, nullptr, nullptr);
    ASSERT_GE(server_, 0);
    from_ = name_of(server_, true);
    to_ = name_of(server_, false);
  }
  void TearDown() override {
    for (const int fd : {listener_, client_, server_})
      if (fd >= 0) close(fd);
  }
  int listener_ = -1, client_ = -1, server_ = -1;
  SocketAddress from_, to_;
};

TEST_P(SocketOwnerTest, AnOpenClientHasAProcess) {
  EXPECT_EQ(owner_of(from_, to_), SocketOwner::process);
}

TEST_P(SocketOwnerTest, AHalfClosedClientStillHasOne) {
  shutdown(client_, SHUT_WR);
  EXPECT_EQ(owner_of(from_, to_), SocketOwner::process);
}

TEST_P(SocketOwnerTest, AClosedClientHasNobody) {
  close(client_);
  client_ = -1;
  EXPECT_EQ(owner_of(from_, to_), SocketOwner::nobody);
}

TEST_P(SocketOwnerTest, AConnectionIsThereBeforeItIsAccepted) {
  EXPECT_TRUE(has_connection(to_, from_));
  close(server_);
  server_ = socket(to_.family(), SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_storage storage{};
  const socklen_t size = to_.fill(storage);
  ASSERT_EQ(connect(server_, reinterpret_cast<sockaddr*>(&storage), size), 0);
  const auto waiting = name_of(server_, false);
  EXPECT_EQ(owner_of(to_, waiting), SocketOwner::nobody);
  EXPECT_TRUE(has_connection(to_, waiting));
  EXPECT_FALSE(has_connection(to_, SocketAddress(from_.ip(), 1))) << "the listener is none";
}

TEST_P(SocketOwnerTest, WhoListensThereIsNotConnected) {
  EXPECT_EQ(owner_of(to_, SocketAddress(from_.ip(), 1)), SocketOwner::nobody);
}

TEST_P(SocketOwnerTest, ASocketThatNeverWasHasNobody) {
  EXPECT_EQ(owner_of(SocketAddress(from_.ip(), 1), to_), SocketOwner::nobody);
}

INSTANTIATE_TEST_SUITE_P(Families, SocketOwnerTest, testing::Values("127.0.0.1", "::1"));

}  // namespace
}  // namespace sallyport::net
