// The ClientHello of a QUIC connection, from the first datagrams of a UDP flow: its pieces come in
// any order, twice, and over several packets. Pure; the datagrams are hostile.
//
// Limits: limits::quic_hello_bytes. How many datagrams may come before one is whole is its user's
// to bound.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "agent/sniff/sniff.h"
#include "tls/quic_initial.h"

namespace sallyport::rules {

class QuicHello {
public:
  enum class State : uint8_t {
    more,     // so far it can become a ClientHello
    done,     // preface() has its SNI and ALPN
    no_quic,  // not a QUIC client's first packets
    unknown,  // QUIC of a version whose packets can't be read
    refused,  // they are broken, forged, or disagree with each other; why() says how
  };
  State add(std::span<const char> datagram);  // the next one; after `more` only
  const sniff::Preface& preface() const { return preface_; }
  const char* why() const { return why_; }

private:
  void add_piece(uint64_t offset, std::string_view bytes);
  State refuse(const char* why);
  State read_whole();

  tls::QuicInitials initials_;
  std::string bytes_;
  std::vector<bool> known_;  // of bytes_
  std::size_t whole_ = 0;    // how many from the first are known
  sniff::Preface preface_;
  const char* why_ = "";
};

}  // namespace sallyport::rules
