/* What a process looks like from outside: threads, signals, descriptors,
 * memory. Linux. */
#ifndef PROCESS_H
#define PROCESS_H

#include "check.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <malloc.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>

/* A field of /proc/self/task/<id>/status; "" if the thread is gone. */
static inline const char *task_field(const char *task, const char *field) {
    static char line[256];
    char path[300];
    FILE *file;
    size_t len = strlen(field);
    snprintf(path, sizeof path, "/proc/self/task/%.20s/status", task);
    file = fopen(path, "r");
    if (file == NULL) return "";
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, field, len) == 0 && line[len] == ':') {
            char *start = line + len + 1, *end = line + strlen(line);
            fclose(file);
            while (isspace((unsigned char)*start)) start++;
            while (end > start && isspace((unsigned char)end[-1])) *--end = '\0';
            return start;
        }
    }
    fclose(file);
    return "";
}

static inline int entries_of(const char *path) {
    DIR *dir = opendir(path);
    int count = 0;
    CHECK(dir != NULL);
    while (readdir(dir) != NULL) count++;
    closedir(dir);
    return count - 2;
}

static inline int descriptors(void) { return entries_of("/proc/self/fd") - 1; }
static inline int threads(void) { return entries_of("/proc/self/task"); }

/* Bytes in use, as malloc counts them. */
static inline size_t heap(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* One look at them; `others` are those that are not the library's, by their names. */
static inline int count_threads(int *others) {
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    int count = 0;
    *others = 0;
    CHECK(dir != NULL);
    while ((entry = readdir(dir)) != NULL) {
        unsigned long long blocked, all = ~0ULL;
        if (entry->d_name[0] == '.') continue;
        if (strncmp(task_field(entry->d_name, "Name"), "mapstore-", 9) != 0) {
            *others += *task_field(entry->d_name, "Name") != '\0';
            continue;
        }
        count++;
        blocked = strtoull(task_field(entry->d_name, "SigBlk"), NULL, 16);
        /* SIGKILL and SIGSTOP can't be; glibc keeps 32 and 33 for itself. */
        all &= ~(1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1) | 1ULL << 31 | 1ULL << 32);
        /* valgrind's signals are its own. */
        if (*task_field(entry->d_name, "SigBlk") != '\0' && !under_a_tool()) CHECK((blocked & all) == all);
    }
    closedir(dir);
    return count;
}

/* Threads of the library; each blocks every signal that can be blocked. Those
 * that are not ours are the program's `own`; a thread has no name of its own
 * in its first moment. */
static inline int library_threads(int own) {
    int count, others, looks = 0;
    while (count = count_threads(&others), others != own && looks++ < 1000) sleep_ms(1);
    CHECK(others == own);
    return count;
}

/* A listening socket on loopback; its port in *port. */
static inline int listener(int *port) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    memset(&address, 0, sizeof address);
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(fd, 64) == 0 && getsockname(fd, (struct sockaddr *)&address, &size) == 0);
    *port = ntohs(address.sin_port);
    return fd;
}

#endif
