/* Writes at the end of a thread (the destructor of a pthread key) and of a
 * process (an atexit handler) succeed, and those that come after them too.
 * argv[1]: a kubeconfig. */
#include "process.h"

#include <sys/wait.h>

#define NAME "mapstore-ffi-ends"

static const char *kubeconfig;
static mapstore_store_t *store;
static pthread_key_t key;
static int ended;

static void write_number(mapstore_store_t *to, const char *name, int number) {
    char text[16];
    int len = snprintf(text, sizeof text, "%d", number);
    OK(mapstore_force_set(to, NULL, Z(name), text, (size_t)len, NULL, &error));
    check_value(to, name, text, (size_t)len);
}

static void at_thread_end(void *number) { write_number(store, "thread", (ended++, *(int *)number)); }

static void *worker(void *number) {
    check_value(store, "k", "v", 1);
    if (*(int *)number % 10 == 0) mapstore_store_free(open_store(NAME, kubeconfig, MAPSTORE_CACHE_EXCLUSIVE));
    CHECK(pthread_setspecific(key, number) == 0);
    return NULL;
}

static void ends_of_threads(void) {
    int number, count = rounds(200);
    pthread_attr_t small;
    CHECK(pthread_key_create(&key, at_thread_end) == 0);
    CHECK(pthread_attr_init(&small) == 0);
    /* As much as the documents ask for. */
    if (!under_a_tool()) CHECK(pthread_attr_setstacksize(&small, 131072) == 0);
    for (number = 0; number < count; number++) {
        pthread_t thread;
        CHECK(pthread_create(&thread, &small, worker, &number) == 0);
        CHECK(pthread_join(thread, NULL) == 0 && ended == number + 1);
        write_number(store, "main", number);
    }
}

/* The process' last store; its last write. */
static mapstore_store_t *own;
static int own_number;

static void at_process_end(void) {
    mapstore_store_t *late;
    write_number(own, "exit", own_number);
    mapstore_store_free(own);
    late = open_store(NAME, kubeconfig, MAPSTORE_CACHE_NONE);
    write_number(late, "later", own_number);
    mapstore_store_free(late);
    _exit(0);
}

static void ends_of_processes(void) {
    int number, count = rounds(200), status = 0;
    for (number = 0; number < count; number++) {
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(60 * (unsigned)slowness());
            own = open_store(NAME, kubeconfig, MAPSTORE_CACHE_NONE);
            own_number = number;
            check_value(own, "k", "v", 1);
            CHECK(atexit(at_process_end) == 0);
            exit(2);
        }
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        write_number(store, "main", number);
    }
}

int main(int argc, char **argv) {
    int before;
    CHECK(argc == 2);
    kubeconfig = argv[1];
    store = open_store(NAME, kubeconfig, MAPSTORE_CACHE_NONE);
    OK(mapstore_set(store, NULL, Z("k"), "v", 1, NULL, &error));
    before = descriptors();
    ends_of_threads();
    CHECK(descriptors() <= before + 1 && library_threads(1) <= 4);
    ends_of_processes();
    CHECK(descriptors() <= before + 1 && library_threads(1) <= 4);
    mapstore_store_free(store);
    return 0;
}
