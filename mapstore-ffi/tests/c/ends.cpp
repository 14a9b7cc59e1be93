// Writes in the destructors of a thread_local object, which was there before the thread's first call, and of a static
// one succeed, and those that come after them too. argv[1]: a kubeconfig.
#include <mapstore.hpp>

#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#define CHECK(condition) \
    ((condition) ? (void)0 : (std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition), _exit(1)))

static const char *kubeconfig;

static mapstore::store *open_store() {
    return new mapstore::store("mapstore-ffi-ends-cpp", mapstore::options().kubeconfig(kubeconfig));
}

static void write_number(mapstore::store &store, const char *key, int number) {
    const std::string text = std::to_string(number);
    store.force_set(key, text);
    const auto read = store.get(key);
    CHECK(read && std::string(read->view()) == text);
}

struct Last {
    const char *key;
    mapstore::store *store = nullptr;
    int number = 0;

    explicit Last(const char *name) : key(name) {}
    Last(const Last &) = delete;
    Last &operator=(const Last &) = delete;
    ~Last() {
        if (store == nullptr) return;
        try {
            write_number(*store, key, number);
        } catch (const mapstore::error &error) {
            std::fprintf(stderr, "%s: %s\n", key, error.what());
            _exit(1);
        }
    }
};

static Last last_of_process("static");
static thread_local Last last_of_thread("thread_local");

static int rounds() {
    const char *text = std::getenv("MAPSTORE_TEST_ROUNDS");
    return text != nullptr ? std::atoi(text) : 200;
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    kubeconfig = argv[1];
    mapstore::store *store = open_store();
    for (int number = 0; number < rounds(); number++) {
        std::thread([&] {
            last_of_thread.store = store;
            last_of_thread.number = number;
            store->get("main");
        }).join();
        write_number(*store, "main", number);
        const pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            alarm(120);
            last_of_process.store = open_store();
            last_of_process.number = number;
            last_of_process.store->get("main");
            std::exit(0);
        }
        int status = 0;
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    delete store;
    return 0;
}
