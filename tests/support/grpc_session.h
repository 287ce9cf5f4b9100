// A client's side of a gRPC server's connection, in memory: frames by hand and a transport that a
// test feeds. For test sources of what links sallyport::ca.
#pragma once
#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <cstring>
#include <string>
#include <string_view>

#include "certs/ca/transport.h"

namespace sallyport::test {

inline std::string h2_frame(uint8_t type, uint8_t flags, uint32_t stream, std::string_view body) {
  std::string frame;
  for (const int shift : {16, 8, 0}) frame += static_cast<char>(body.size() >> shift & 0xff);
  frame += static_cast<char>(type);
  frame += static_cast<char>(flags);
  for (const int shift : {24, 16, 8, 0}) frame += static_cast<char>(stream >> shift & 0xff);
  return frame.append(body);
}

inline std::string h2_preface() {
  return "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(4, 0, 0, "");
}

// HEADERS of a POST with nothing of HPACK's dynamic table: static names, values of less than 127
// bytes as they are.
inline std::string h2_call(uint32_t stream, const std::string& path,
                           const std::string& authorization) {
  const auto value = [](const std::string& text) { return static_cast<char>(text.size()) + text; };
  std::string block = "\x83\x87\x04" + value(path) + "\x01" + value("ca");
  block += "\x0f\x10" + value("application/grpc");
  if (!authorization.empty()) block += "\x0f\x08" + value(authorization);
  return h2_frame(1, 4, stream, block);
}

inline std::string h2_data(uint32_t stream, std::string_view bytes, bool end = true) {
  return h2_frame(0, end ? 1 : 0, stream, bytes);
}

// How many frames of a type are in what a server wrote.
inline int h2_frames_of(uint8_t type, std::string_view bytes) {
  int count = 0;
  while (bytes.size() >= 9) {
    const auto at = [&](int i) { return static_cast<std::size_t>(static_cast<uint8_t>(bytes[i])); };
    count += at(3) == type ? 1 : 0;
    bytes.remove_prefix(std::min(bytes.size(), 9 + (at(0) << 16 | at(1) << 8 | at(2))));
  }
  return count;
}

// Gives a reader at most `piece` bytes at a time; what is written is kept.
class FedTransport : public ca::Transport {
public:
  FedTransport(boost::asio::io_context& io, std::size_t piece, std::string& written)
      : io_(io), piece_(piece), written_(written) {}
  void feed(std::string_view bytes) {
    bytes_ += bytes;
    give();
  }
  void read(void* into, std::size_t room, Done done) override {
    into_ = into;
    room_ = room;
    reading_ = std::move(done);
    give();
  }
  void write(const void* from, std::size_t size, Done done) override {
    written_.append(static_cast<const char*>(from), size);
    boost::asio::post(io_, [done = std::move(done), size] { done({}, size); });
  }
  void close() override {
    if (auto done = std::exchange(reading_, nullptr)) {
      boost::asio::post(
          io_, [done = std::move(done)] { done(boost::asio::error::operation_aborted, 0); });
    }
  }

private:
  void give() {
    if (!reading_ || bytes_.empty()) return;
    const std::size_t size = std::min({piece_, room_, bytes_.size()});
    std::memcpy(into_, bytes_.data(), size);
    bytes_.erase(0, size);
    boost::asio::post(io_, [done = std::exchange(reading_, nullptr), size] { done({}, size); });
  }

  boost::asio::io_context& io_;
  const std::size_t piece_;
  std::string& written_;
  std::string bytes_;
  void* into_ = nullptr;
  std::size_t room_ = 0;
  Done reading_;
};

}  // namespace sallyport::test
