// Shared by the files of CLinux, not by those who include CLinux.h.
#ifndef CLINUX_RESULT_H
#define CLINUX_RESULT_H

#include <errno.h>

// Returns a call's result, or the negative error number. Asks again where a signal came between.
#define RESULT(call)                        \
    do {                                    \
        long r_;                            \
        do {                                \
            r_ = (long)(call);              \
        } while (r_ < 0 && errno == EINTR); \
        return r_ < 0 ? -errno : r_;        \
    } while (0)

#endif
