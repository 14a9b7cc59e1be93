/* fork, by the C library and raw: in the child the old store says Forked at
 * once and opening again works; the parent goes on. argv[1]: a kubeconfig. */
#include "process.h"

#include <sys/syscall.h>
#include <sys/wait.h>

#define NAME "mapstore-ffi-fork"

static const char *kubeconfig;

static void old_handles_say_forked(mapstore_store_t *store) {
    mapstore_value_t *value = NULL;
    size_t len = 7;
    long long start = now_ms();
    EXPECT(MAPSTORE_FORKED, mapstore_get(store, NULL, Z("k"), &value, &error));
    EXPECT(MAPSTORE_FORKED, mapstore_set(store, NULL, Z("k"), "child", 5, NULL, &error));
    EXPECT(MAPSTORE_FORKED, mapstore_len(store, NULL, &len, &error));
    EXPECT(MAPSTORE_FORKED, mapstore_truncate(store, NULL, NULL, &error));
    EXPECT(MAPSTORE_FORKED, mapstore_refresh(store, NULL, &error));
    CHECK(value == NULL && len == 7);
    mapstore_store_free(store);
    CHECK(now_ms() - start < AT_ONCE_MS);
}

static void child(mapstore_store_t *none, mapstore_store_t *exclusive) {
    mapstore_store_t *own;
    old_handles_say_forked(none);
    old_handles_say_forked(exclusive);
    own = open_store(NAME, kubeconfig, MAPSTORE_CACHE_EXCLUSIVE);
    check_value(own, "k", "parent", 6);
    OK(mapstore_set(own, NULL, Z("c"), "child", 5, NULL, &error));
    check_value(own, "c", "child", 5);
    mapstore_store_free(own);
}

static void in_a_child(pid_t (*start)(void)) {
    mapstore_store_t *none = open_store(NAME, kubeconfig, MAPSTORE_CACHE_NONE);
    mapstore_store_t *exclusive = open_store(NAME, kubeconfig, MAPSTORE_CACHE_EXCLUSIVE);
    int status = 0;
    pid_t pid;
    OK(mapstore_truncate(none, NULL, NULL, &error));
    OK(mapstore_set(none, NULL, Z("k"), "parent", 6, NULL, &error));
    pid = start();
    CHECK(pid >= 0);
    if (pid == 0) {
        alarm(30 * (unsigned)slowness());
        child(none, exclusive);
        /* What only the parent's threads held is lost in every child: a leak
         * check here would say nothing about the library. Another program is
         * none of the tool's business. */
        if (under_a_tool()) execl("/bin/sh", "sh", "-c", ":", (char *)NULL);
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_value(none, "c", "child", 5);
    OK(mapstore_refresh(exclusive, NULL, &error));
    check_value(exclusive, "c", "child", 5);
    OK(mapstore_set(exclusive, NULL, Z("k"), "on", 2, NULL, &error));
    check_value(none, "k", "on", 2);
    mapstore_store_free(none);
    mapstore_store_free(exclusive);
}

/* Past every pthread_atfork handler. */
static pid_t raw_fork(void) { return (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L); }

static void *look(void *snapshot) {
    CHECK(mapstore_snapshot_value_at(snapshot, 0, NULL) != NULL);
    return NULL;
}

/* A snapshot is used in the child, forked while a thread looks into it for the first time. */
static void while_a_snapshot_is_read(void) {
    mapstore_store_t *store = open_store(NAME, kubeconfig, MAPSTORE_CACHE_EXCLUSIVE);
    mapstore_batch_t *batch = mapstore_batch_new();
    char key[16];
    int i, count = rounds(200), status = 0;
    for (i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "key-%d", i);
        OK(mapstore_batch_set(batch, Z(key), "v", 1, &error));
    }
    OK(mapstore_apply(store, NULL, batch, NULL, &error));
    mapstore_batch_free(batch);
    for (i = 0; i < count; i++) {
        mapstore_snapshot_t *snapshot = NULL;
        pthread_t thread;
        pid_t pid;
        OK(mapstore_snapshot(store, NULL, &snapshot, &error));
        CHECK(pthread_create(&thread, NULL, look, snapshot) == 0);
        pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
            alarm(30 * (unsigned)slowness());
            _exit(mapstore_snapshot_value_at(snapshot, 1999, NULL) != NULL ? 0 : 1);
        }
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        CHECK(pthread_join(thread, NULL) == 0);
        mapstore_snapshot_free(snapshot);
    }
    OK(mapstore_truncate(store, NULL, NULL, &error));
    mapstore_store_free(store);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    kubeconfig = argv[1];
    in_a_child(fork);
    in_a_child(raw_fork);
    in_a_child(fork);
    while_a_snapshot_is_read();
    return 0;
}
