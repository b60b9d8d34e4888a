// Verbs that talk to others.
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <resolv.h>

#include "init.h"

/// The first IPv4 address of a name, asked for once, as /etc/resolv.conf says (servers, search domains): names that come later are no excuse.
static int verb_resolve(int argc, char **argv) {
    (void)argc;
    unsigned char answer[1500];
    if (res_init() != 0) return report(-1);
    _res.retry = 1;
    int length = res_search(argv[1], ns_c_in, ns_t_a, answer, sizeof answer);
    ns_msg message;
    if (length < 0 || ns_initparse(answer, length, &message) != 0) return puts("no answer"), 1;
    for (int index = 0; index < ns_msg_count(message, ns_s_an); index++) {
        ns_rr record;
        char text[INET_ADDRSTRLEN];
        if (ns_parserr(&message, ns_s_an, index, &record) != 0 || ns_rr_type(record) != ns_t_a) continue;
        return puts(inet_ntop(AF_INET, ns_rr_rdata(record), text, sizeof text)), 0;
    }
    return puts("no address"), 1;
}

const struct verb net_verbs[] = {
    {"resolve", 1, verb_resolve},
    {NULL, 0, NULL},
};
