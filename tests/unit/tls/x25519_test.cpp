// X25519 of the provider: RFC 7748's values, what a hostile peer may send, and its place in TLS.
#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>

#include "tests/unit/tls/meeting.h"
#include "tls/x25519_provider.h"

namespace sallyport::tls {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Context = std::unique_ptr<EVP_PKEY_CTX, decltype(&EVP_PKEY_CTX_free)>;

const char* const of_openssl = "provider=default";

std::string bytes(std::string_view hex) {
  std::string made;
  for (std::size_t at = 0; at < hex.size(); at += 2)
    made += static_cast<char>(std::stoi(std::string(hex.substr(at, 2)), nullptr, 16));
  return made;
}

// Of its halves; an empty one is not told.
Key key_from(const std::string& private_half, const std::string& public_half,
             const char* properties) {
  OSSL_PARAM params[3];
  int count = 0;
  const auto add = [&](const char* name, const std::string& half) {
    if (half.empty()) return;
    params[count++] =
        OSSL_PARAM_construct_octet_string(name, const_cast<char*>(half.data()), half.size());
  };
  add(OSSL_PKEY_PARAM_PRIV_KEY, private_half);
  add(OSSL_PKEY_PARAM_PUB_KEY, public_half);
  params[count] = OSSL_PARAM_construct_end();
  const Context context(EVP_PKEY_CTX_new_from_name(nullptr, "X25519", properties),
                        EVP_PKEY_CTX_free);
  EVP_PKEY* key = nullptr;
  EVP_PKEY_fromdata_init(context.get());
  EVP_PKEY_fromdata(context.get(), &key,
                    private_half.empty() ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEYPAIR, params);
  ERR_clear_error();
  return {key, EVP_PKEY_free};
}

Key generated(const char* properties) {
  const Context context(EVP_PKEY_CTX_new_from_name(nullptr, "X25519", properties),
                        EVP_PKEY_CTX_free);
  EVP_PKEY* key = nullptr;
  EVP_PKEY_keygen_init(context.get());
  EVP_PKEY_keygen(context.get(), &key);
  return {key, EVP_PKEY_free};
}

std::string half_of(const Key& key, const char* which) {
  std::string half(32, '\0');
  std::size_t size = 0;
  if (EVP_PKEY_get_octet_string_param(
          key.get(), which, reinterpret_cast<unsigned char*>(half.data()), half.size(), &size) != 1)
    return {};
  half.resize(size);
  return half;
}

std::string public_half(const Key& key) { return half_of(key, OSSL_PKEY_PARAM_PUB_KEY); }

// Empty when it is refused.
std::string shared(const Key& own, const Key& peer, const char* properties) {
  const Context context(EVP_PKEY_CTX_new_from_pkey(nullptr, own.get(), properties),
                        EVP_PKEY_CTX_free);
  std::string secret(32, '\0');
  std::size_t size = secret.size();
  const bool good =
      EVP_PKEY_derive_init(context.get()) == 1 &&
      EVP_PKEY_derive_set_peer(context.get(), peer.get()) == 1 &&
      EVP_PKEY_derive(context.get(), reinterpret_cast<unsigned char*>(secret.data()), &size) == 1;
  ERR_clear_error();
  if (!good) return {};
  secret.resize(size);
  return secret;
}

std::string multiplied(const std::string& scalar, const std::string& point) {
  const char* const ours = x25519_properties();
  return shared(key_from(scalar, {}, ours), key_from({}, point, ours), ours);
}

std::string provider_of(const EVP_PKEY* key) {
  return OSSL_PROVIDER_get0_name(EVP_PKEY_get0_provider(key));
}

TEST(X25519, MultipliesAsRfc7748Section5) {
  EXPECT_EQ(multiplied(bytes("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
                       bytes("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")),
            bytes("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"));
  // A point whose highest bit is set, which does not count.
  EXPECT_EQ(multiplied(bytes("4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d"),
                       bytes("e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493")),
            bytes("95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957"));
}

TEST(X25519, IteratesAsRfc7748Section5) {
  std::string scalar = bytes("0900000000000000000000000000000000000000000000000000000000000000");
  std::string point = scalar;
  for (int round = 1; round <= 1000; ++round) {
    std::string result = multiplied(scalar, point);
    ASSERT_EQ(result.size(), 32u);
    point = std::exchange(scalar, std::move(result));
    if (round != 1) continue;
    EXPECT_EQ(scalar, bytes("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"));
  }
  EXPECT_EQ(scalar, bytes("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"));
}

TEST(X25519, AgreesOnTheSecretOfRfc7748Section6) {
  const char* const ours = x25519_properties();
  const Key alice =
      key_from(bytes("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a"), {}, ours);
  const Key bob =
      key_from(bytes("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"), {}, ours);
  EXPECT_EQ(public_half(alice),
            bytes("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"));
  EXPECT_EQ(public_half(bob),
            bytes("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"));
  const std::string secret =
      bytes("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
  EXPECT_EQ(shared(alice, bob, ours), secret);
  EXPECT_EQ(shared(bob, alice, ours), secret);
}

TEST(X25519, AgreesWithOpensslsOwn) {
  const char* const ours = x25519_properties();
  for (int round = 0; round < 50; ++round) {
    const Key here = generated(ours);
    const Key there = generated(of_openssl);
    const Key here_there = key_from(half_of(here, OSSL_PKEY_PARAM_PRIV_KEY), {}, of_openssl);
    EXPECT_EQ(provider_of(here.get()), "sallyport");
    EXPECT_EQ(provider_of(here_there.get()), "default");
    EXPECT_EQ(public_half(here), public_half(here_there));
    const std::string secret = shared(here, key_from({}, public_half(there), ours), ours);
    EXPECT_EQ(secret.size(), 32u);
    EXPECT_EQ(secret, shared(there, key_from({}, public_half(here), of_openssl), of_openssl));
  }
}

TEST(X25519, KeysGoFromOneProviderToTheOther) {
  const char* const ours = x25519_properties();
  const Key here = generated(ours);
  const Key there = generated(of_openssl);
  const std::string secret = shared(here, there, ours);  // OpenSSL's public key is imported
  EXPECT_EQ(secret.size(), 32u);
  EXPECT_EQ(secret, shared(there, here, of_openssl));  // and ours exported
  EXPECT_EQ(secret, shared(there, here, ours));        // a private one imported
}

TEST(X25519, PointsOfSmallOrderAreRefused) {
  const std::string zeroes = bytes(std::string(64, '0'));
  const std::string one = bytes("01" + std::string(62, '0'));
  const std::string order_8 =
      bytes("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800");
  const std::string other_order_8 =
      bytes("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157");
  const std::string p_minus_1 = bytes("ec" + std::string(60, 'f') + "7f");
  const std::string p = bytes("ed" + std::string(60, 'f') + "7f");
  const std::string p_plus_1 = bytes("ee" + std::string(60, 'f') + "7f");
  const std::string scalar(32, 'k');
  for (const std::string& point : {zeroes, one, order_8, other_order_8, p_minus_1, p, p_plus_1}) {
    EXPECT_EQ(multiplied(scalar, point), "");
    std::string high_bit = point;
    high_bit.back() = static_cast<char>(high_bit.back() | '\x80');
    EXPECT_EQ(multiplied(scalar, high_bit), "");
  }
}

TEST(X25519, HalvesOfAnotherSizeAreRefused) {
  const char* const ours = x25519_properties();
  for (const std::size_t size : {1u, 31u, 33u, 64u}) {
    EXPECT_EQ(key_from(std::string(size, 'k'), {}, ours), nullptr) << size;
    EXPECT_EQ(key_from({}, std::string(size, 'k'), ours), nullptr) << size;
    const Key key = generated(ours);
    const std::string before = public_half(key);
    const std::string share(size, 'k');
    EXPECT_NE(EVP_PKEY_set1_encoded_public_key(
                  key.get(), reinterpret_cast<const unsigned char*>(share.data()), share.size()),
              1);
    EXPECT_EQ(public_half(key), before);
    ERR_clear_error();
  }
}

TEST(X25519, PeersShareTakesThePlaceOfAKey) {
  const Key key = generated(x25519_properties());
  const std::string share(32, 's');
  ASSERT_EQ(EVP_PKEY_set1_encoded_public_key(
                key.get(), reinterpret_cast<const unsigned char*>(share.data()), share.size()),
            1);
  EXPECT_EQ(public_half(key), share);
  EXPECT_EQ(half_of(key, OSSL_PKEY_PARAM_PRIV_KEY), "");  // that was of the key before
  EXPECT_EQ(shared(key, generated(x25519_properties()), x25519_properties()), "");
  ERR_clear_error();
}

TEST(X25519, CopiesOfParametersHoldNoKey) {
  const Key from = generated(x25519_properties());
  const Key to(EVP_PKEY_new(), EVP_PKEY_free);
  ASSERT_EQ(EVP_PKEY_copy_parameters(to.get(), from.get()), 1);
  EXPECT_EQ(public_half(to), "");
  const Key whole(EVP_PKEY_dup(from.get()), EVP_PKEY_free);
  EXPECT_EQ(EVP_PKEY_eq(whole.get(), from.get()), 1);
  EXPECT_NE(EVP_PKEY_eq(whole.get(), generated(x25519_properties()).get()), 1);
  ERR_clear_error();
}

const test::Authority& root() {
  static const test::Authority authority = test::Authority::root("Root");
  return authority;
}

ClientSettings client_settings() {
  ClientSettings settings;
  settings.sni = "server.test";
  settings.roots = certs::TrustStore::parse(root().pem()).value();
  return settings;
}

ServerSettings server_settings() {
  const auto issued = root().issue({.common_name = "server.test", .dns = {"server.test"}});
  ServerSettings settings;
  settings.certificates = {certs::KeyPair::parse(issued.chain_pem, issued.key_pem).value()};
  return settings;
}

TEST(X25519, BothEndsOfAHandshakeUseIt) {
  Meeting meeting(server_settings(), ServerKind::gateway);
  const auto pair = meeting.meet(client_settings());
  ASSERT_TRUE(SSL_is_init_finished(pair->server.get()));
  for (SSL* const end : {pair->client.get(), pair->server.get()}) {
    EVP_PKEY* peer = nullptr;
    ASSERT_EQ(SSL_get_peer_tmp_key(end, &peer), 1);
    const Key key(peer, EVP_PKEY_free);
    EXPECT_TRUE(EVP_PKEY_is_a(peer, "X25519"));
    EXPECT_EQ(provider_of(peer), "sallyport");
  }
}

TEST(X25519, ShareOfAllZeroesEndsTheHandshake) {
  Meeting meeting(server_settings(), ServerKind::gateway);
  Pair pair(meeting.client_context.open(client_settings(), nullptr).value(),
            meeting.server_context->open(meeting.server, "").value());
  handshake_step(*pair.client);
  const std::size_t share = pair.wire.to_server.find(std::string("\x00\x1d\x00\x20", 4));
  ASSERT_NE(share, std::string::npos);
  pair.wire.to_server.replace(share + 4, 32, 32, '\0');
  handshake_step(*pair.server);
  EXPECT_FALSE(SSL_is_init_finished(pair.server.get()));
  EXPECT_NE(failure_of(*pair.server, Side::downstream).context, "");
}

}  // namespace
}  // namespace sallyport::tls
