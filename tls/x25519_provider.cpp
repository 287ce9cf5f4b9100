#include "tls/x25519_provider.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/prov_ssl.h>
#include <openssl/proverr.h>
#include <openssl/provider.h>

#include <new>

#include "tls/x25519_key.h"

// What each function has to do is in OpenSSL's provider-keyexch(7), provider-base(7).
namespace sallyport::tls {
namespace x25519 {
namespace {

// OpenSSL holds no reference to the peer's key once it was told: both are copied.
struct Exchange {
  Key own;
  Bytes peer{};
  bool has_peer = false;
};

void* exchange_new(void*) { return new (std::nothrow) Exchange; }

void exchange_free(void* exchange) { delete static_cast<Exchange*>(exchange); }

int exchange_init(void* of, void* own, const OSSL_PARAM[]) {
  Exchange& exchange = *static_cast<Exchange*>(of);
  if (!own || !static_cast<const Key*>(own)->has_private) return 0;
  exchange.own.private_key = static_cast<const Key*>(own)->private_key;
  exchange.own.has_private = true;
  return 1;
}

int exchange_set_peer(void* of, void* peer) {
  Exchange& exchange = *static_cast<Exchange*>(of);
  if (!peer || !static_cast<const Key*>(peer)->has_public) return 0;
  exchange.peer = static_cast<const Key*>(peer)->public_key;
  exchange.has_peer = true;
  return 1;
}

// RFC 8446 7.4.2: a result of all zeroes, which libsodium refuses, ends the handshake.
int exchange_derive(void* of, unsigned char* secret, std::size_t* size, std::size_t room) {
  const Exchange& exchange = *static_cast<Exchange*>(of);
  if (!exchange.own.has_private || !exchange.has_peer) {
    ERR_raise(ERR_LIB_PROV, PROV_R_MISSING_KEY);
    return 0;
  }
  *size = sizeof(Bytes);
  if (!secret) return 1;
  if (room < sizeof(Bytes)) {
    ERR_raise(ERR_LIB_PROV, PROV_R_OUTPUT_BUFFER_TOO_SMALL);
    return 0;
  }
  if (sodium_is_ready() && crypto_scalarmult_curve25519(secret, exchange.own.private_key.data(),
                                                        exchange.peer.data()) == 0)
    return 1;
  ERR_raise(ERR_LIB_PROV, PROV_R_FAILED_DURING_DERIVATION);
  return 0;
}

const OSSL_ALGORITHM* query(void*, int operation, int* no_store) {
  static const OSSL_DISPATCH exchanges[] = {entry(OSSL_FUNC_KEYEXCH_NEWCTX, exchange_new),
                                            entry(OSSL_FUNC_KEYEXCH_FREECTX, exchange_free),
                                            entry(OSSL_FUNC_KEYEXCH_INIT, exchange_init),
                                            entry(OSSL_FUNC_KEYEXCH_SET_PEER, exchange_set_peer),
                                            entry(OSSL_FUNC_KEYEXCH_DERIVE, exchange_derive),
                                            {0, nullptr}};
  // Both names, as the default provider has them: they have to stand for one algorithm.
  static const char* const names = "X25519:1.3.101.110";
  static const char* const properties = "provider=sallyport,sallyport.x25519=yes";
  static const OSSL_ALGORITHM key_algorithms[] = {{names, properties, key_functions(), nullptr},
                                                  {nullptr, nullptr, nullptr, nullptr}};
  static const OSSL_ALGORITHM exchange_algorithms[] = {{names, properties, exchanges, nullptr},
                                                       {nullptr, nullptr, nullptr, nullptr}};
  *no_store = 0;
  if (operation == OSSL_OP_KEYMGMT) return key_algorithms;
  if (operation == OSSL_OP_KEYEXCH) return exchange_algorithms;
  return nullptr;
}

// libssl takes a group only of the provider that its keys would come from.
int capabilities(void*, const char* capability, OSSL_CALLBACK* take, void* argument) {
  if (OPENSSL_strcasecmp(capability, "TLS-GROUP") != 0) return 0;
  unsigned int id = 0x001d;  // RFC 8446 4.2.7
  unsigned int bits = security_bits;
  int since = TLS1_VERSION;
  int since_dtls = DTLS1_VERSION;
  int no_end = 0;
  char name[] = "x25519";  // as the default provider's, so that "X25519" in a list finds it
  char algorithm[] = "X25519";
  const auto text = [](const char* key, char* value) {
    return OSSL_PARAM_construct_utf8_string(key, value, 0);
  };
  const OSSL_PARAM params[] = {
      text(OSSL_CAPABILITY_TLS_GROUP_NAME, name),
      text(OSSL_CAPABILITY_TLS_GROUP_NAME_INTERNAL, algorithm),
      text(OSSL_CAPABILITY_TLS_GROUP_ALG, algorithm),
      OSSL_PARAM_construct_uint(OSSL_CAPABILITY_TLS_GROUP_ID, &id),
      OSSL_PARAM_construct_uint(OSSL_CAPABILITY_TLS_GROUP_SECURITY_BITS, &bits),
      OSSL_PARAM_construct_int(OSSL_CAPABILITY_TLS_GROUP_MIN_TLS, &since),
      OSSL_PARAM_construct_int(OSSL_CAPABILITY_TLS_GROUP_MAX_TLS, &no_end),
      OSSL_PARAM_construct_int(OSSL_CAPABILITY_TLS_GROUP_MIN_DTLS, &since_dtls),
      OSSL_PARAM_construct_int(OSSL_CAPABILITY_TLS_GROUP_MAX_DTLS, &no_end),
      OSSL_PARAM_construct_end()};
  return take(params, argument);
}

int start(const OSSL_CORE_HANDLE* handle, const OSSL_DISPATCH*, const OSSL_DISPATCH** functions,
          void** context) {
  static const OSSL_DISPATCH provider[] = {entry(OSSL_FUNC_PROVIDER_QUERY_OPERATION, query),
                                           entry(OSSL_FUNC_PROVIDER_GET_CAPABILITIES, capabilities),
                                           {0, nullptr}};
  *functions = provider;
  *context = const_cast<OSSL_CORE_HANDLE*>(handle);
  return 1;
}

// For as long as the process lives. OpenSSL's own providers stay what openssl.cnf made of them.
OSSL_PROVIDER* load() {
  if (OSSL_PROVIDER_add_builtin(nullptr, "sallyport", start) != 1) return nullptr;
  return OSSL_PROVIDER_try_load(nullptr, "sallyport", 1);
}

}  // namespace
}  // namespace x25519

const char* x25519_properties() {
  static OSSL_PROVIDER* const loaded = x25519::load();
  // By a name of its own: "?provider=" would take the place of an installation's "provider=". Names
  // without a dot are OpenSSL's.
  return loaded ? "?sallyport.x25519=yes" : nullptr;
}

}  // namespace sallyport::tls
