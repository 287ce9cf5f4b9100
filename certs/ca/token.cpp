#include "certs/ca/token.h"

#include <openssl/ecdsa.h>
#include <openssl/err.h>

#include <boost/json/parse.hpp>
#include <optional>

#include "agent/config/file.h"
#include "agent/core/limits.h"
#include "certs/describe.h"
#include "certs/openssl_ptr.h"

namespace sallyport::ca {
namespace {

namespace json = boost::json;
using DigestPtr = std::unique_ptr<EVP_MD_CTX, certs::OpensslFree<EVP_MD_CTX_free>>;
using SignaturePtr = std::unique_ptr<ECDSA_SIG, certs::OpensslFree<ECDSA_SIG_free>>;

constexpr int64_t token_skew_s = 60;  // for a token that is younger than our clock

Error bad_token(std::string reason) {
  ERR_clear_error();
  return {.fault = Fault::denied, .context = std::move(reason)};
}

std::optional<json::object> object_of(std::string_view base64) {
  const auto text = from_base64url(base64);
  if (!text) return std::nullopt;
  json::error_code error;
  json::parse_options options;
  options.max_depth = 16;
  auto value = json::parse({text->data(), text->size()}, error, {}, options);
  if (error || !value.is_object()) return std::nullopt;
  return std::move(value.get_object());
}

std::string text_in(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  const json::string* text = value ? value->if_string() : nullptr;
  return text ? std::string(text->data(), text->size()) : std::string();
}

std::optional<int64_t> time_in(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  if (!value) return std::nullopt;
  if (const auto* whole = value->if_int64()) return *whole;
  constexpr double latest = 1e15;  // beyond any clock, within int64_t
  const auto* number = value->if_double();
  if (!number || !(*number > -latest && *number < latest)) return std::nullopt;
  return static_cast<int64_t>(*number);
}

// JWS has r and s side by side, OpenSSL wants them in DER.
std::string der_signature(std::string_view raw) {
  if (raw.size() != 64) return {};
  const auto* bytes = reinterpret_cast<const unsigned char*>(raw.data());
  certs::BignumPtr r(BN_bin2bn(bytes, 32, nullptr)), s(BN_bin2bn(bytes + 32, 32, nullptr));
  const SignaturePtr signature(ECDSA_SIG_new());
  if (!signature || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) return {};
  static_cast<void>(r.release());  // the signature has both
  static_cast<void>(s.release());
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &der);
  const std::unique_ptr<char, certs::OpensslTextFree> own(reinterpret_cast<char*>(der));
  return size > 0 ? std::string(own.get(), static_cast<std::size_t>(size)) : std::string();
}

bool verifies(const TokenKey& key, std::string_view text, const std::string& signature) {
  const DigestPtr digest(EVP_MD_CTX_new());
  if (!digest ||
      EVP_DigestVerifyInit(digest.get(), nullptr, EVP_sha256(), nullptr, key.key.get()) != 1)
    return false;
  return EVP_DigestVerify(digest.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                          signature.size(), reinterpret_cast<const unsigned char*>(text.data()),
                          text.size()) == 1;
}

Result<void> check_signature(const json::object& header, std::string_view text,
                             std::string_view base64, const TokenRules& rules) {
  const std::string algorithm = text_in(header, "alg"), id = text_in(header, "kid");
  if (algorithm != "RS256" && algorithm != "ES256")
    return bad_token("a JWT signed by \"" + certs::printable(algorithm, 32) + "\"");
  const auto kind = algorithm == "ES256" ? TokenAlgorithm::es256 : TokenAlgorithm::rs256;
  if (header.if_contains("crit")) return bad_token("a JWT with critical extensions");
  const auto raw = from_base64url(base64);
  if (!raw) return bad_token("a JWT whose signature is no base64url");
  const std::string signature = kind == TokenAlgorithm::es256 ? der_signature(*raw) : *raw;
  for (const TokenKey& key : rules.keys) {
    if (key.algorithm != kind || (!id.empty() && !key.id.empty() && key.id != id)) continue;
    if (verifies(key, text, signature)) return {};
  }
  return bad_token("a JWT that none of the keys verifies (kid \"" + certs::printable(id, 64) +
                   "\")");
}

Result<void> check_times(const json::object& claims, int64_t now) {
  const auto until = time_in(claims, "exp"), from = time_in(claims, "nbf");
  if (!until) return bad_token("a JWT that never expires");
  if (now >= *until) return bad_token("a JWT that expired at " + certs::time_text(*until));
  if (claims.if_contains("nbf") && !from) return bad_token("a JWT whose nbf is no time");
  if (from && now + token_skew_s < *from)
    return bad_token("a JWT that is not valid before " + certs::time_text(*from));
  return {};
}

bool has_audience(const json::object& claims, const std::vector<std::string>& wanted) {
  const auto is_wanted = [&](const json::value& value) {
    const json::string* text = value.if_string();
    return text && std::find(wanted.begin(), wanted.end(),
                             std::string_view(text->data(), text->size())) != wanted.end();
  };
  const json::value* audience = claims.if_contains("aud");
  if (!audience) return false;
  if (const json::array* list = audience->if_array())
    return std::any_of(list->begin(), list->end(), is_wanted);
  return is_wanted(*audience);
}

// Kubernetes' names (RFC 1123): what ends up in a SPIFFE id is nothing else.
bool is_name(std::string_view text) {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  return !text.empty() && text.size() <= 253 && std::all_of(text.begin(), text.end(), allowed);
}

Result<ServiceAccount> account_of(const json::object& claims) {
  constexpr std::string_view prefix = "system:serviceaccount:";
  const std::string subject = text_in(claims, "sub");
  ServiceAccount account;
  if (subject.starts_with(prefix)) {
    const std::string rest = subject.substr(prefix.size());
    const auto colon = std::min(rest.find(':'), rest.size());
    account = {rest.substr(0, colon), rest.substr(std::min(colon + 1, rest.size()))};
  } else if (const json::value* own = claims.if_contains("kubernetes.io");
             own && own->is_object()) {
    account.namespace_name = text_in(own->get_object(), "namespace");
    const json::value* inner = own->get_object().if_contains("serviceaccount");
    if (inner && inner->is_object()) account.name = text_in(inner->get_object(), "name");
  }
  if (is_name(account.namespace_name) && is_name(account.name)) return account;
  return bad_token("a JWT of no service account (sub \"" + certs::printable(subject, 128) + "\")");
}

}  // namespace

Result<ServiceAccount> verify_token(std::string_view token, const TokenRules& rules, int64_t now) {
  if (token.size() > limits::token_bytes) return bad_token("a token that is too long");
  const auto first = token.find('.'), second = token.rfind('.');
  if (first == token.npos || first == second) return bad_token("a token that is no JWT");
  const auto header = object_of(token.substr(0, first));
  const auto claims = object_of(token.substr(first + 1, second - first - 1));
  if (!header || !claims) return bad_token("a token that is no JWT");
  if (auto good =
          check_signature(*header, token.substr(0, second), token.substr(second + 1), rules);
      !good)
    return good.error();
  if (auto good = check_times(*claims, now); !good) return good.error();
  if (!has_audience(*claims, rules.audiences)) return bad_token("a JWT for another audience");
  if (!rules.issuer.empty() && text_in(*claims, "iss") != rules.issuer)
    return bad_token("a JWT of the issuer \"" + certs::printable(text_in(*claims, "iss"), 128) +
                     "\"");
  return account_of(*claims);
}

Result<StaticTokens> parse_static_tokens(std::string_view text) {
  StaticTokens tokens;
  for (int number = 1; !text.empty(); ++number) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.remove_suffix(1);
    if (line.empty() || line.front() == '#') continue;
    const auto blank = std::min(line.find(' '), line.size());
    const auto account = line.substr(std::min(line.find_first_not_of(' ', blank), line.size()));
    const auto slash = std::min(account.find('/'), account.size());
    ServiceAccount whose{std::string(account.substr(0, slash)),
                         std::string(account.substr(std::min(slash + 1, account.size())))};
    constexpr std::size_t token_least = 16;  // fewer characters are guessed
    if (blank < token_least || !is_name(whose.namespace_name) || !is_name(whose.name)) {
      return Error{.fault = Fault::protocol,
                   .context = "line " + std::to_string(number) +
                              ": not TOKEN NAMESPACE/SERVICEACCOUNT with a token of 16 characters "
                              "or more"};
    }
    if (tokens.size() == limits::static_tokens)
      return Error{.fault = Fault::overflow, .context = "too many tokens"};
    tokens.insert_or_assign(config::digest(line.substr(0, blank)), std::move(whose));
  }
  return tokens;
}

}  // namespace sallyport::ca
