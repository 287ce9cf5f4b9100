#include "tls/parameters.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>

#include "agent/core/ascii.h"
#include "tls/ssl.h"
#include "tls/verify.h"

namespace sallyport::tls {
namespace {

Error none_available(std::string why) {
  return {Fault::tls_handshake, Side::local, false, std::move(why), {}};
}

// What one entry of a list may be: nothing that OpenSSL takes for several, or for a command.
bool is_plain_word(std::string_view word) {
  return !word.empty() && std::all_of(word.begin(), word.end(), [](char c) {
    const char lower = ascii::lower(c);
    return ascii::is_digit(c) || (lower >= 'a' && lower <= 'z') || c == '-' || c == '_' || c == '+';
  });
}

bool has_cipher(SSL_CTX& scratch, const std::string& entry) {
  std::string_view word = entry;
  const bool has_operator = word.starts_with('-') || word.starts_with('+') || word.starts_with('!');
  if (has_operator) word.remove_prefix(1);
  return is_plain_word(word) && SSL_CTX_set_cipher_list(&scratch, std::string(word).c_str()) == 1;
}

std::string with_entry(const std::string& list, const std::string& name) {
  return list.empty() ? name : list + ":" + name;
}

}  // namespace

std::string versions_text(Version lowest, Version highest) {
  static constexpr const char* numbers[] = {"1.0", "1.1", "1.2", "1.3"};
  const auto low = static_cast<std::size_t>(lowest), high = static_cast<std::size_t>(highest);
  std::string first = std::string("TLS ") + numbers[low];
  if (low >= high) return first;
  return first + (high - low == 1 ? " and " : " to ") + numbers[high];
}

Result<Available> available_ciphers(const std::vector<std::string>& names) {
  Available out;
  if (names.empty()) return out;
  const SslCtxPtr scratch(SSL_CTX_new(TLS_method()));
  if (!scratch) return none_available("SSL_CTX_new: " + take_openssl_errors());
  for (const std::string& name : names) {
    if (has_cipher(*scratch, name)) {
      out.list = with_entry(out.list, name);
    } else {
      out.missing.push_back(name);
    }
  }
  const bool any =
      !out.list.empty() && SSL_CTX_set_cipher_list(scratch.get(), out.list.c_str()) == 1;
  ERR_clear_error();
  if (any) return out;
  return none_available("none of the cipher suites " + list_text(names) + " is available");
}

Result<Available> available_curves(const std::vector<std::string>& names) {
  Available out;
  if (names.empty()) return out;
  const SslCtxPtr scratch(SSL_CTX_new(TLS_method()));
  if (!scratch) return none_available("SSL_CTX_new: " + take_openssl_errors());
  std::vector<std::string> taken;
  for (const std::string& name : names) {
    if (std::find(taken.begin(), taken.end(), name) != taken.end()) continue;
    // With those before it: OpenSSL refuses a list that has a curve twice, by whatever names.
    std::string longer = with_entry(out.list, name);
    if (!is_plain_word(name) || SSL_CTX_set1_groups_list(scratch.get(), longer.c_str()) != 1) {
      out.missing.push_back(name);
      continue;
    }
    out.list = std::move(longer);
    taken.push_back(name);
  }
  ERR_clear_error();
  if (!out.list.empty()) return out;
  return none_available("none of the curves " + list_text(names) + " is available");
}

}  // namespace sallyport::tls
