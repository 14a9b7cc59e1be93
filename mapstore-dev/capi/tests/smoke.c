/* Uses every function of the library, with good and with bad arguments. */
#define _POSIX_C_SOURCE 200809L
#include "mapstore_dev.h"
#include "mapstore_dev.h" /* twice is fine */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECK(what)                                                        \
    do {                                                                   \
        if (!(what)) {                                                     \
            fprintf(stderr, "line %d: %s\n", __LINE__, #what);             \
            exit(1);                                                       \
        }                                                                  \
    } while (0)

/* The call fails and its text has these words. */
#define REFUSED(call, words)               \
    do {                                   \
        int32_t refused_code = (call);     \
        refused(refused_code, error, words); \
        error = NULL;                      \
    } while (0)

static void refused(int32_t code, char *error, const char *text)
{
    CHECK(code != MAPSTORE_DEV_OK);
    CHECK(error != NULL && strstr(error, text) != NULL);
    mapstore_dev_string_free(error);
}

static int mode(const char *path)
{
    struct stat file;
    return stat(path, &file) == 0 ? (int)(file.st_mode & 0777) : -1;
}

int main(void)
{
    mapstore_dev_t *server = NULL;
    char *error = NULL, *token = NULL, *path = NULL, *again = NULL;
    char *admin;
    const char *rules = "[{\"apiGroups\":[\"\"],\"resources\":[\"configmaps\"],\"verbs\":[\"get\"]}]";

    CHECK(mapstore_dev_start(0, NULL, NULL) == MAPSTORE_DEV_INVALID_ARGUMENT);
    REFUSED(mapstore_dev_start(0, NULL, &error), "server is NULL");
    CHECK(mapstore_dev_start(0, &server, &error) == MAPSTORE_DEV_OK && server != NULL);
    CHECK(strncmp(mapstore_dev_url(server), "https://127.0.0.1:", 18) == 0);
    CHECK(mode(mapstore_dev_kubeconfig_path(server)) == 0600);
    admin = strdup(mapstore_dev_kubeconfig_path(server));

    {
        mapstore_dev_t *second = NULL;
        int port = atoi(mapstore_dev_url(server) + 18);
        REFUSED(mapstore_dev_start((uint16_t)port, &second, &error), "can't listen on 127.0.0.1:");
        CHECK(second == NULL);
    }

    CHECK(mapstore_dev_create_namespace(server, "ns", &error) == MAPSTORE_DEV_OK);
    REFUSED(mapstore_dev_create_namespace(server, "Not_One", &error), "Not_One");
    REFUSED(mapstore_dev_create_namespace(server, NULL, &error), "name is NULL");
    REFUSED(mapstore_dev_create_namespace(NULL, "ns", &error), "server is NULL");
    REFUSED(mapstore_dev_create_namespace(server, "\xff", &error), "not UTF-8");
    CHECK(mapstore_dev_set_quota(server, "ns", 3, NULL) == MAPSTORE_DEV_OK);
    CHECK(mapstore_dev_forbid_key(server, "ns", "forbidden", NULL) == MAPSTORE_DEV_OK);
    REFUSED(mapstore_dev_terminate_namespace(server, "nope", &error), "nope");
    CHECK(mapstore_dev_create_namespace(server, "old", NULL) == MAPSTORE_DEV_OK);
    CHECK(mapstore_dev_terminate_namespace(server, "old", NULL) == MAPSTORE_DEV_OK);

    REFUSED(mapstore_dev_add_user(server, "u", "ns", "nonsense", &token, &error), "rules_json");
    REFUSED(mapstore_dev_add_user(server, "u", "ns", rules, NULL, &error), "token is NULL");
    CHECK(token == NULL);
    CHECK(mapstore_dev_add_user(server, "u", "ns", rules, &token, &error) == MAPSTORE_DEV_OK);
    CHECK(strlen(token) >= 32);
    CHECK(mapstore_dev_user_kubeconfig(server, token, "ns", &path, &error) == MAPSTORE_DEV_OK);
    CHECK(mode(path) == 0600);
    CHECK(mapstore_dev_user_kubeconfig(server, token, "ns", &again, NULL) == MAPSTORE_DEV_OK);
    CHECK(mapstore_dev_revoke(server, token, &error) == MAPSTORE_DEV_OK);

    mapstore_dev_stop(server);
    mapstore_dev_stop(server);
    CHECK(mapstore_dev_resume(server, &error) == MAPSTORE_DEV_OK);
    mapstore_dev_free(server);
    CHECK(mode(admin) == -1 && mode(path) == -1);

    mapstore_dev_stop(NULL);
    mapstore_dev_free(NULL);
    mapstore_dev_string_free(NULL);
    CHECK(mapstore_dev_url(NULL) == NULL && mapstore_dev_kubeconfig_path(NULL) == NULL);
    REFUSED(mapstore_dev_resume(NULL, &error), "server is NULL");
    mapstore_dev_string_free(token);
    mapstore_dev_string_free(path);
    mapstore_dev_string_free(again);
    free(admin);
    puts("ok");
    return 0;
}
