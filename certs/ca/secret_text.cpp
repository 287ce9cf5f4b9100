#include "certs/ca/secret_text.h"

#include <openssl/crypto.h>

namespace sallyport::ca {

// A short text lives inside the object, where moving it leaves its bytes: all of the room is wiped.
void SecretText::wipe() {
  text_.resize(text_.capacity());
  OPENSSL_cleanse(text_.data(), text_.size());
  text_.clear();
}

}  // namespace sallyport::ca
