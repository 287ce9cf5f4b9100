// gRPC's bytes.
#include "certs/ca/grpc_frames.h"

namespace sallyport::ca {
namespace {

TEST(GrpcFrames, AMessageComesWholeHoweverItWasCut) {
  const std::string bytes = grpc_frame("hello") + grpc_frame("") + grpc_frame("world");
  for (std::size_t cut = 1; cut <= bytes.size(); ++cut) {
    GrpcReader reader(16);
    std::vector<std::string> messages;
    for (std::size_t at = 0; at < bytes.size(); at += cut) {
      ASSERT_TRUE(reader.feed(std::string_view(bytes).substr(at, cut)));
      while (auto one = reader.take()) messages.push_back(*one);
    }
    EXPECT_EQ(messages, (std::vector<std::string>{"hello", "", "world"})) << cut;
    EXPECT_FALSE(reader.in_message());
  }
}

TEST(GrpcFrames, WhatIsCutOffShows) {
  GrpcReader reader(16);
  ASSERT_TRUE(reader.feed(grpc_frame("hello").substr(0, 7)));
  EXPECT_FALSE(reader.take());
  EXPECT_TRUE(reader.in_message());
}

TEST(GrpcFrames, LongAndCompressedMessagesAreRefused) {
  EXPECT_EQ(GrpcReader(4).feed(grpc_frame("hello")).error().fault, Fault::overflow);
  EXPECT_EQ(GrpcReader(4).feed(std::string("\0\xff\xff\xff\xff", 5)).error().fault,
            Fault::overflow);
  const std::string compressed("\1\0\0\0\0", 5);
  EXPECT_EQ(GrpcReader(4).feed(compressed).error().fault, Fault::protocol);
  EXPECT_EQ(GrpcReader(4).feed(grpc_frame("ok") + compressed).error().fault, Fault::protocol);
  EXPECT_EQ(GrpcReader(4).feed(grpc_frame("ok") + grpc_frame("hello").substr(0, 5)).error().fault,
            Fault::overflow);
}

TEST(GrpcFrames, NothingPilesUpBehindAMessageThatNobodyTakes) {
  GrpcReader reader(16);
  ASSERT_TRUE(reader.feed(grpc_frame("hello")));
  EXPECT_EQ(reader.feed("x").error().fault, Fault::overflow);
  EXPECT_EQ(reader.take(), "hello");
  EXPECT_TRUE(reader.feed(grpc_frame("world")));
}

TEST(GrpcFrames, TextsOfErrorsAreEscaped) {
  EXPECT_EQ(percent_encoded("a b%\n\xc3\xa4"), "a b%25%0A%C3%A4");
  EXPECT_EQ(percent_decoded("a b%25%0A%C3%A4"), "a b%\n\xc3\xa4");
  EXPECT_EQ(percent_decoded("100%, %zz, %4"), "100%, %zz, %4");
}

TEST(GrpcFrames, CodesHaveTheStandardsNames) {
  EXPECT_EQ(code_name(0), "OK");
  EXPECT_EQ(code_name(16), "UNAUTHENTICATED");
  EXPECT_EQ(code_name(3), "INVALID_ARGUMENT");
  EXPECT_EQ(code_name(99), "code 99");
  EXPECT_EQ(code_name(-1), "code -1");
}

}  // namespace
}  // namespace sallyport::ca
