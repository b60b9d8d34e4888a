/* crypt(3) of libxcrypt (Debian's libcrypt-dev, which libc6-dev brings), for the bcrypt lines of htpasswd files. */
#ifndef BERTH_CCRYPT_H
#define BERTH_CCRYPT_H

#include <crypt.h>
#include <stdlib.h>
#include <string.h>

/* Hashes `phrase` with the method, cost and salt of `setting` (a whole hash will do). Returns 1 and the text, ended by
 * NUL, in `out`; 0 when the setting is not one or `out` is too small. crypt_data has 32 KiB: not for the stack. */
static inline int berth_crypt(const char *phrase, const char *setting, char *out, size_t size) {
    struct crypt_data *data = (struct crypt_data *)calloc(1, sizeof *data);
    if (!data) return 0;
    const char *hash = crypt_r(phrase, setting, data);
    /* A failure token starts with '*' and is no hash. */
    int good = hash && hash[0] != '*' && strlen(hash) < size;
    if (good) memcpy(out, hash, strlen(hash) + 1);
    explicit_bzero(data, sizeof *data);
    free(data);
    return good;
}

#endif
