// What a certificate says of itself, as values and as text for operators.
//
// Threading: any; nothing here keeps state but OpenSSL's error queue of the thread, which is left
// empty.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "certs/key_pair.h"

using X509_NAME = struct X509_name_st;
using ASN1_TIME = struct asn1_string_st;

namespace sallyport::certs {

CertificateInfo describe(const X509& certificate);

// RFC 2253 order, control characters and non-ASCII escaped: "CN=client.example.com,O=Example".
std::string name_text(const X509_NAME& name);
std::string subject_text(const X509& certificate);
std::string issuer_text(const X509& certificate);

// "2024-01-02" in UTC.
std::string date_text(int64_t seconds_since_1970);
// "2024-01-02T03:04:05Z"
std::string time_text(int64_t seconds_since_1970);
// Seconds since 1970; 0 for none and for one that cannot be read.
int64_t seconds_of(const ASN1_TIME* time);

// Bytes of a peer made safe for one line of a log: what is not printable ASCII becomes \xNN, and
// what is beyond `limit` bytes is cut ("...").
std::string printable(std::string_view bytes, std::size_t limit);

// Lower case, nothing between.
std::string hexadecimal(std::span<const unsigned char> bytes);

// The thread's OpenSSL error queue as one line ("; " between); empties it.
std::string take_openssl_errors();

}  // namespace sallyport::certs
