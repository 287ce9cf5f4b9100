#include "tls/x25519_key.h"

#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <sodium/core.h>

#include <cstring>
#include <new>

// What each function has to do is in OpenSSL's provider-keymgmt(7).
namespace sallyport::tls::x25519 {
namespace {

const Key& key_of(const void* key) { return *static_cast<const Key*>(key); }

bool work_out_public(Key& key) {
  key.has_public = sodium_is_ready() && crypto_scalarmult_curve25519_base(
                                            key.public_key.data(), key.private_key.data()) == 0;
  return key.has_public;
}

// True without such a parameter; `found` tells.
bool read_bytes(const OSSL_PARAM params[], const char* name, Bytes& bytes, bool& found) {
  const OSSL_PARAM* const param = OSSL_PARAM_locate_const(params, name);
  if (!param) return true;
  found = param->data_type == OSSL_PARAM_OCTET_STRING && param->data_size == bytes.size();
  if (found) std::memcpy(bytes.data(), param->data, bytes.size());
  return found;
}

void* key_new(void*) { return new (std::nothrow) Key; }

void key_free(void* key) { delete static_cast<Key*>(key); }

int key_has(const void* of, int selection) {
  if (!of) return 0;
  const Key& key = key_of(of);
  return ((selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) == 0 || key.has_public) &&
         ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) == 0 || key.has_private);
}

// A private key never stands without its public one, so that comparing those is enough.
int key_match(const void* one, const void* other, int selection) {
  if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0) return 1;
  const Key& a = key_of(one);
  const Key& b = key_of(other);
  return a.has_public && b.has_public && a.public_key == b.public_key;
}

int key_import(void* into, int selection, const OSSL_PARAM params[]) {
  if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0) return 0;
  Key& key = *static_cast<Key*>(into);
  if (!read_bytes(params, OSSL_PKEY_PARAM_PUB_KEY, key.public_key, key.has_public)) return 0;
  if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 &&
      !read_bytes(params, OSSL_PKEY_PARAM_PRIV_KEY, key.private_key, key.has_private))
    return 0;
  return key.has_private ? work_out_public(key) : key.has_public;
}

int key_export(void* from, int selection, OSSL_CALLBACK* take, void* argument) {
  if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0) return 0;
  Key& key = *static_cast<Key*>(from);
  std::array<OSSL_PARAM, 3> params{};
  std::size_t count = 0;
  if ((selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY) != 0 && key.has_public)
    params[count++] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
                                                        key.public_key.data(), sizeof(Bytes));
  if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0 && key.has_private)
    params[count++] = OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PRIV_KEY,
                                                        key.private_key.data(), sizeof(Bytes));
  params[count] = OSSL_PARAM_construct_end();
  return take(params.data(), argument);
}

const OSSL_PARAM* key_types(int) {
  static const OSSL_PARAM types[] = {OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, nullptr, 0),
                                     OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, nullptr, 0),
                                     OSSL_PARAM_END};
  return types;
}

bool answer_number(OSSL_PARAM params[], const char* name, int value) {
  OSSL_PARAM* const param = OSSL_PARAM_locate(params, name);
  return !param || OSSL_PARAM_set_int(param, value) == 1;
}

bool answer_bytes(OSSL_PARAM params[], const char* name, const Bytes& bytes, bool there) {
  OSSL_PARAM* const param = OSSL_PARAM_locate(params, name);
  return !param || (there && OSSL_PARAM_set_octet_string(param, bytes.data(), bytes.size()) == 1);
}

int key_get_params(void* of, OSSL_PARAM params[]) {
  const Key& key = key_of(of);
  return answer_number(params, OSSL_PKEY_PARAM_BITS, 253) &&
         answer_number(params, OSSL_PKEY_PARAM_SECURITY_BITS, security_bits) &&
         answer_number(params, OSSL_PKEY_PARAM_MAX_SIZE, sizeof(Bytes)) &&
         answer_bytes(params, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, key.public_key, key.has_public) &&
         answer_bytes(params, OSSL_PKEY_PARAM_PUB_KEY, key.public_key, key.has_public) &&
         answer_bytes(params, OSSL_PKEY_PARAM_PRIV_KEY, key.private_key, key.has_private);
}

const OSSL_PARAM* key_gettable(void*) {
  static const OSSL_PARAM gettable[] = {
      OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, nullptr),
      OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, nullptr),
      OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, nullptr),
      OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, nullptr, 0),
      OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, nullptr, 0),
      OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PRIV_KEY, nullptr, 0),
      OSSL_PARAM_END};
  return gettable;
}

// A peer's share: the private half of what stood there is no longer of it.
int key_set_params(void* of, const OSSL_PARAM params[]) {
  Key& key = *static_cast<Key*>(of);
  bool shared = false;
  if (!read_bytes(params, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, key.public_key, shared)) return 0;
  if (!shared) return 1;
  OPENSSL_cleanse(key.private_key.data(), sizeof(Bytes));
  key.has_public = true;
  key.has_private = false;
  return 1;
}

const OSSL_PARAM* key_settable(void*) {
  static const OSSL_PARAM settable[] = {
      OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, nullptr, 0), OSSL_PARAM_END};
  return settable;
}

int key_validate(const void* key, int selection, int) { return key_has(key, selection); }

void* key_dup(const void* from, int selection) {
  if ((selection & OSSL_KEYMGMT_SELECT_KEYPAIR) == 0) return key_new(nullptr);
  Key* const copy = new (std::nothrow) Key(key_of(from));
  if (!copy || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0) return copy;
  OPENSSL_cleanse(copy->private_key.data(), sizeof(Bytes));
  copy->has_private = false;
  return copy;
}

// What is to be made: a key, or (without the key's bits) only a place for one. Nothing else is
// told, so that these two serve all.
constexpr int whole_key = OSSL_KEYMGMT_SELECT_KEYPAIR;
constexpr int place_of_a_key = 0;

void* generation_new(void*, int selection, const OSSL_PARAM[]) {
  const bool whole = (selection & OSSL_KEYMGMT_SELECT_KEYPAIR) != 0;
  return const_cast<int*>(whole ? &whole_key : &place_of_a_key);  // OpenSSL only hands it back
}

int generation_set_params(void*, const OSSL_PARAM params[]) {
  const OSSL_PARAM* const group = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_GROUP_NAME);
  if (!group) return 1;
  return group->data_type == OSSL_PARAM_UTF8_STRING &&
         OPENSSL_strcasecmp(static_cast<const char*>(group->data), "x25519") == 0;
}

const OSSL_PARAM* generation_settable(void*, void*) {
  static const OSSL_PARAM settable[] = {
      OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, nullptr, 0), OSSL_PARAM_END};
  return settable;
}

void* generate(void* generation, OSSL_CALLBACK*, void*) {
  Key* const key = new (std::nothrow) Key;
  if (!key) return nullptr;
  if (generation == &place_of_a_key) return key;
  key->has_private = RAND_priv_bytes(key->private_key.data(), static_cast<int>(sizeof(Bytes))) == 1;
  if (key->has_private && work_out_public(*key)) return key;
  delete key;
  return nullptr;
}

void generation_free(void*) {}

}  // namespace

bool sodium_is_ready() {
  static const bool ready = sodium_init() >= 0;
  return ready;
}

const OSSL_DISPATCH* key_functions() {
  static const OSSL_DISPATCH functions[] = {
      entry(OSSL_FUNC_KEYMGMT_NEW, key_new),
      entry(OSSL_FUNC_KEYMGMT_FREE, key_free),
      entry(OSSL_FUNC_KEYMGMT_HAS, key_has),
      entry(OSSL_FUNC_KEYMGMT_MATCH, key_match),
      entry(OSSL_FUNC_KEYMGMT_IMPORT, key_import),
      entry(OSSL_FUNC_KEYMGMT_IMPORT_TYPES, key_types),
      entry(OSSL_FUNC_KEYMGMT_EXPORT, key_export),
      entry(OSSL_FUNC_KEYMGMT_EXPORT_TYPES, key_types),
      entry(OSSL_FUNC_KEYMGMT_GET_PARAMS, key_get_params),
      entry(OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, key_gettable),
      entry(OSSL_FUNC_KEYMGMT_SET_PARAMS, key_set_params),
      entry(OSSL_FUNC_KEYMGMT_SETTABLE_PARAMS, key_settable),
      entry(OSSL_FUNC_KEYMGMT_VALIDATE, key_validate),
      entry(OSSL_FUNC_KEYMGMT_DUP, key_dup),
      entry(OSSL_FUNC_KEYMGMT_GEN_INIT, generation_new),
      entry(OSSL_FUNC_KEYMGMT_GEN_SET_PARAMS, generation_set_params),
      entry(OSSL_FUNC_KEYMGMT_GEN_SETTABLE_PARAMS, generation_settable),
      entry(OSSL_FUNC_KEYMGMT_GEN, generate),
      entry(OSSL_FUNC_KEYMGMT_GEN_CLEANUP, generation_free),
      {0, nullptr}};
  return functions;
}

}  // namespace sallyport::tls::x25519
