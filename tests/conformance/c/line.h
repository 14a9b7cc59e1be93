/* Lines of the protocol: growing text, percent-encoding, and a request taken apart. Knows nothing of mapstore. */
#ifndef RUNNER_LINE_H
#define RUNNER_LINE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Text that grows. Zero-initialised it is empty; free `data` in the end. */
typedef struct {
    char *data;
    size_t len;
    size_t capacity;
} text_t;

void text_clear(text_t *text);
void text_add(text_t *text, const char *plain);
void text_add_encoded(text_t *text, const void *bytes, size_t len);
/* " name=" and the value. */
void text_field(text_t *text, const char *name, const void *bytes, size_t len);
void text_field_string(text_t *text, const char *name, const char *string);
void text_field_number(text_t *text, const char *name, uint64_t number);

/* One line without its end; 0 at the end of the file. */
int read_line(FILE *file, text_t *line);

#define MAX_FIELDS 16

typedef struct {
    const char *name;
    char *value; /* decoded, NUL-terminated beyond its length */
    size_t len;
} field_t;

typedef struct {
    const char *verb;
    field_t fields[MAX_FIELDS];
    size_t count;
} request_t;

/* Takes the line apart in place: the request points into it. 0 if it is no line of the protocol. */
int parse_request(text_t *line, request_t *request);

/* NULL if it isn't given. */
const field_t *find_field(const request_t *request, const char *name);

#endif
