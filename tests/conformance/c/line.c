/* See line.h. */
#include "line.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void reserve(text_t *text, size_t more)
{
    size_t needed = text->len + more + 1;
    size_t capacity = text->capacity ? text->capacity : 256;
    char *data;

    if (needed <= text->capacity) {
        return;
    }
    while (capacity < needed) {
        capacity *= 2;
    }
    data = realloc(text->data, capacity);
    if (data == NULL) {
        fputs("runner-c: out of memory\n", stderr);
        exit(3);
    }
    text->data = data;
    text->capacity = capacity;
}

void text_clear(text_t *text)
{
    reserve(text, 0);
    text->len = 0;
    text->data[0] = '\0';
}

void text_add(text_t *text, const char *plain)
{
    size_t len = strlen(plain);

    reserve(text, len);
    memcpy(text->data + text->len, plain, len + 1);
    text->len += len;
}

static int is_plain(unsigned char byte)
{
    return (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
           byte == '.' || byte == '_' || byte == '~' || byte == '-';
}

void text_add_encoded(text_t *text, const void *bytes, size_t len)
{
    static const char hex[] = "0123456789ABCDEF";
    const unsigned char *from = bytes;
    size_t i;

    reserve(text, 3 * len);
    for (i = 0; i < len; i++) {
        if (is_plain(from[i])) {
            text->data[text->len++] = (char)from[i];
        } else {
            text->data[text->len++] = '%';
            text->data[text->len++] = hex[from[i] >> 4];
            text->data[text->len++] = hex[from[i] & 15];
        }
    }
    text->data[text->len] = '\0';
}

void text_field(text_t *text, const char *name, const void *bytes, size_t len)
{
    text_add(text, " ");
    text_add(text, name);
    text_add(text, "=");
    text_add_encoded(text, bytes, len);
}

void text_field_string(text_t *text, const char *name, const char *string)
{
    text_field(text, name, string, strlen(string));
}

void text_field_number(text_t *text, const char *name, uint64_t number)
{
    char digits[32];

    snprintf(digits, sizeof digits, "%" PRIu64, number);
    text_field_string(text, name, digits);
}

int read_line(FILE *file, text_t *line)
{
    text_clear(line);
    for (;;) {
        reserve(line, 4096);
        if (fgets(line->data + line->len, (int)4096, file) == NULL) {
            return line->len > 0;
        }
        line->len += strlen(line->data + line->len);
        if (line->data[line->len - 1] == '\n') {
            line->data[--line->len] = '\0';
            return 1;
        }
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Decodes in place, up to `end`; 0 if it isn't encoded well. */
static int decode(field_t *field, const char *end)
{
    const char *from = field->value;
    char *to = field->value;

    while (from < end) {
        if (*from != '%') {
            *to++ = *from++;
            continue;
        }
        if (end - from < 3 || hex_digit(from[1]) < 0 || hex_digit(from[2]) < 0) {
            return 0;
        }
        *to++ = (char)(hex_digit(from[1]) * 16 + hex_digit(from[2]));
        from += 3;
    }
    field->len = (size_t)(to - field->value);
    *to = '\0';
    return 1;
}

int parse_request(text_t *line, request_t *request)
{
    char *word = strchr(line->data, ' ');

    request->verb = line->data;
    request->count = 0;
    while (word != NULL) {
        field_t *field = &request->fields[request->count];
        char *equals;
        char *next;

        *word++ = '\0';
        next = strchr(word, ' ');
        equals = strchr(word, '=');
        if (equals == NULL || (next != NULL && equals > next) || request->count++ == MAX_FIELDS) {
            return 0;
        }
        *equals = '\0';
        field->name = word;
        field->value = equals + 1;
        if (!decode(field, next != NULL ? next : line->data + line->len)) {
            return 0;
        }
        word = next;
    }
    return 1;
}

const field_t *find_field(const request_t *request, const char *name)
{
    size_t i;

    for (i = 0; i < request->count; i++) {
        if (strcmp(request->fields[i].name, name) == 0) {
            return &request->fields[i];
        }
    }
    return NULL;
}
