/* SHA256_* are marked deprecated since OpenSSL 3.0 in favour of EVP. EVP would pull the provider machinery into the
 * static programs (3 MB and 0.3 ms of set-up at the first digest); the low-level functions link two objects and still
 * choose the AVX2 or SHA-NI code at run time. Only `berth` links EVP, and only for the keys of a signature policy. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
