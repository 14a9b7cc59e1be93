/* SIGPIPE at its default, and a server that answers reads and closes in the
 * middle of every large write: the program lives, 50 times of 50. */
#include "process.h"

#define VALUE_SIZE 1000000

static const char EMPTY_MAP[] =
    "{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"sigpipe\",\"namespace\":\"default\","
    "\"uid\":\"5f6fa8a0-0d1c-4b07-9d5a-4f1d6b1b0c5e\",\"resourceVersion\":\"7\","
    "\"creationTimestamp\":\"2026-01-01T00:00:00Z\"}}";

static volatile int closed_mid_write;

/* One connection: GETs are answered; of anything else a little is read. */
static void serve(int fd) {
    static char request[65536];
    size_t have = 0;
    for (;;) {
        ssize_t got = recv(fd, request + have, sizeof request - 1 - have, 0);
        if (got <= 0) break;
        have += (size_t)got;
        request[have] = '\0';
        if (have >= 4 && strncmp(request, "GET ", 4) != 0) {
            struct linger reset = {1, 0};
            closed_mid_write++;
            CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
            break;
        }
        if (strstr(request, "\r\n\r\n") != NULL) {
            char answer[1024];
            int len = snprintf(answer, sizeof answer,
                               "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                               (int)strlen(EMPTY_MAP), EMPTY_MAP);
            if (send(fd, answer, (size_t)len, MSG_NOSIGNAL) != len) break;
            have = 0;
        }
    }
    close(fd);
}

static void *serve_all(void *listening) {
    for (;;) {
        int fd = accept(*(int *)listening, NULL, NULL);
        if (fd < 0) return NULL;
        serve(fd);
    }
}

int main(void) {
    static char value[VALUE_SIZE];
    int port, round, fd = listener(&port), count = rounds(50);
    struct sigaction before;
    const char *kubeconfig = kubeconfig_for(port);
    pthread_t server;
    CHECK(sigaction(SIGPIPE, NULL, &before) == 0 && before.sa_handler == SIG_DFL);
    CHECK(pthread_create(&server, NULL, serve_all, &fd) == 0);
    memset(value, 'v', sizeof value);
    for (round = 0; round < count || closed_mid_write < count; round++) {
        mapstore_store_t *store = open_store("sigpipe", kubeconfig, MAPSTORE_CACHE_NONE);
        mapstore_call_t *call = mapstore_call_new();
        CHECK(round < 3 * count);
        OK(mapstore_call_set_timeout_ms(call, under_a_tool() ? 2000 : 200, &error));
        CHECK(mapstore_set(store, call, Z("k"), value, sizeof value, NULL, NULL) != MAPSTORE_OK);
        mapstore_call_free(call);
        mapstore_store_free(store);
    }
    CHECK(sigaction(SIGPIPE, NULL, &before) == 0 && before.sa_handler == SIG_DFL);
    shutdown(fd, SHUT_RDWR);
    CHECK(pthread_join(server, NULL) == 0);
    close(fd);
    return 0;
}
