/* load: a closed-loop load generator for servers that answer one line with one line.
 *
 *   load (--unix PATH | --tcp HOST:PORT) --expect TEXT (--request LINE | --requests FILE)
 *        [--connections N] [--seconds S | --count N] [--warmup N]
 *
 * Each connection sends a request, waits for the whole reply line and sends the next one at once. With --requests the
 * lines of FILE are used in turn, over all connections. Every reply must contain TEXT, otherwise the run fails: a server
 * that answers quickly with errors is not fast. All latencies are kept, so the percentiles are exact. One thread, epoll.
 * Prints one line of JSON.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { MAX_CONNECTIONS = 1024, FIRST_BUFFER = 16 * 1024, LONGEST_REPLY = 64 * 1024 * 1024 };

typedef struct {
    int fd;
    char *buffer;        /* the reply so far */
    size_t used, size;
    uint64_t sent_at;    /* ns */
    const char *request; /* with its line feed */
    size_t left, length; /* bytes of the request not written yet, and all of them */
} connection;

typedef struct {
    char **lines;
    size_t *lengths;
    size_t count, next;
} request_list;

static struct {
    const char *unix_path, *tcp, *expect;
    int connections;
    double seconds;
    uint64_t count, warmup;
} options = {.connections = 1, .seconds = 0, .count = 0, .warmup = 0};

static request_list requests;
static uint64_t *samples;
static size_t sample_count, sample_room;
static uint64_t reply_bytes;

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("load: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

static void *grown(void *memory, size_t size) {
    void *result = realloc(memory, size);
    if (result == NULL) die("no memory for %zu bytes", size);
    return result;
}

static uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void add_request(const char *text, size_t length) {
    requests.lines = grown(requests.lines, (requests.count + 1) * sizeof *requests.lines);
    requests.lengths = grown(requests.lengths, (requests.count + 1) * sizeof *requests.lengths);
    char *line = grown(NULL, length + 1);
    memcpy(line, text, length);
    line[length] = '\n';
    requests.lines[requests.count] = line;
    requests.lengths[requests.count++] = length + 1;
}

static void read_requests(const char *path) {
    FILE *file = fopen(path, "r");
    if (file == NULL) die("%s: %s", path, strerror(errno));
    char *line = NULL;
    size_t room = 0;
    ssize_t length;
    while ((length = getline(&line, &room, file)) > 0) {
        if (line[length - 1] == '\n') length--;
        if (length > 0) add_request(line, (size_t)length);
    }
    free(line);
    fclose(file);
}

static int connect_unix(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) die("socket path too long: %s", path);
    strcpy(address.sun_path, path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("%s: %s", path, strerror(errno));
    return fd;
}

static int connect_tcp(const char *where) {
    char host[64];
    const char *colon = strrchr(where, ':');
    if (colon == NULL || (size_t)(colon - where) >= sizeof host) die("want HOST:PORT, got %s", where);
    memcpy(host, where, (size_t)(colon - where));
    host[colon - where] = 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) die("want an IPv4 address, got %s", host);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) die("%s: %s", where, strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

/* Writes what the socket takes; returns whether the request is out. */
static bool push(connection *c) {
    while (c->left > 0) {
        ssize_t n = send(c->fd, c->request + (c->length - c->left), c->left, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return false;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) die("send: %s", strerror(errno));
        c->left -= (size_t)n;
    }
    return true;
}

static void watch(int poll, connection *c, bool wants_to_write) {
    struct epoll_event event = {.events = EPOLLIN | (wants_to_write ? EPOLLOUT : 0u), .data.ptr = c};
    if (epoll_ctl(poll, EPOLL_CTL_MOD, c->fd, &event) != 0) die("epoll_ctl: %s", strerror(errno));
}

static void ask(int poll, connection *c) {
    c->request = requests.lines[requests.next];
    c->left = c->length = requests.lengths[requests.next];
    requests.next = (requests.next + 1) % requests.count;
    c->used = 0;
    c->sent_at = now_ns();
    if (!push(c)) watch(poll, c, true);
}

static void keep_sample(uint64_t value) {
    if (sample_count == sample_room) {
        sample_room = sample_room ? sample_room * 2 : 1 << 16;
        samples = grown(samples, sample_room * sizeof *samples);
    }
    samples[sample_count++] = value;
}

/* Reads; returns true when a whole reply line has come and was the expected one. */
static bool pull(connection *c) {
    for (;;) {
        if (c->used == c->size) {
            if (c->size >= LONGEST_REPLY) die("a reply of more than %d bytes", LONGEST_REPLY);
            c->size *= 2;
            c->buffer = grown(c->buffer, c->size);
        }
        size_t room = c->size - c->used;
        ssize_t n = recv(c->fd, c->buffer + c->used, room, MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return false;
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) die("recv: %s", strerror(errno));
        if (n == 0) die("the server closed a connection");
        char *newline = memchr(c->buffer + c->used, '\n', (size_t)n);
        c->used += (size_t)n;
        if (newline != NULL) {
            if (newline != c->buffer + c->used - 1) die("more than one line came for one request");
            if (memmem(c->buffer, c->used, options.expect, strlen(options.expect)) == NULL)
                die("expected “%s”, got: %.*s", options.expect, (int)(c->used < 400 ? c->used - 1 : 400), c->buffer);
            return true;
        }
        if ((size_t)n < room) return false;
    }
}

/* Runs until `count` replies came or `deadline` (ns, 0 for none) passed; returns how many came. */
static uint64_t run(int poll, connection *connections, uint64_t count, uint64_t deadline, bool is_measured) {
    uint64_t asked = 0, done = 0;
    int in_flight = 0;
    struct epoll_event events[MAX_CONNECTIONS];
    for (int i = 0; i < options.connections && (count == 0 || asked < count); i++, asked++, in_flight++)
        ask(poll, &connections[i]);
    while (in_flight > 0) {
        int ready = epoll_wait(poll, events, options.connections, 30000);
        if (ready == 0) die("no reply within 30 s");
        if (ready < 0 && errno != EINTR) die("epoll_wait: %s", strerror(errno));
        for (int i = 0; i < ready; i++) {
            connection *c = events[i].data.ptr;
            if (c->left > 0) {
                if (push(c)) watch(poll, c, false);
                continue;
            }
            if (!pull(c)) continue;
            uint64_t now = now_ns();
            if (is_measured) {
                keep_sample(now - c->sent_at);
                reply_bytes += c->used;
            }
            done++;
            if ((count == 0 || asked < count) && (deadline == 0 || now < deadline)) {
                ask(poll, c);
                asked++;
            } else {
                in_flight--;
            }
        }
    }
    return done;
}

static int by_value(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

/* The smallest latency that `part` of all replies did not exceed, in microseconds. */
static double percentile_us(double part) {
    size_t rank = (size_t)(part * (double)sample_count + 0.999999);
    if (rank < 1) rank = 1;
    if (rank > sample_count) rank = sample_count;
    return (double)samples[rank - 1] / 1000.0;
}

static void parse(int argc, char **argv) {
    for (int i = 1; i < argc; i += 2) {
        const char *name = argv[i], *value = argv[i + 1];
        if (value == NULL) die("%s wants a value", name);
        if (!strcmp(name, "--unix")) options.unix_path = value;
        else if (!strcmp(name, "--tcp")) options.tcp = value;
        else if (!strcmp(name, "--request")) add_request(value, strlen(value));
        else if (!strcmp(name, "--requests")) read_requests(value);
        else if (!strcmp(name, "--expect")) options.expect = value;
        else if (!strcmp(name, "--connections")) options.connections = atoi(value);
        else if (!strcmp(name, "--seconds")) options.seconds = atof(value);
        else if (!strcmp(name, "--count")) options.count = strtoull(value, NULL, 10);
        else if (!strcmp(name, "--warmup")) options.warmup = strtoull(value, NULL, 10);
        else die("unknown option %s", name);
    }
    if ((options.unix_path == NULL) == (options.tcp == NULL)) die("want one of --unix and --tcp");
    if (options.expect == NULL || requests.count == 0) die("want --expect and --request or --requests");
    if (options.connections < 1 || options.connections > MAX_CONNECTIONS)
        die("want 1 to %d connections, got %d", MAX_CONNECTIONS, options.connections);
    if ((options.seconds > 0) == (options.count > 0)) die("want one of --seconds and --count");
}

int main(int argc, char **argv) {
    parse(argc, argv);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    connection *connections = calloc((size_t)options.connections, sizeof *connections);
    if (poll < 0 || connections == NULL) die("start: %s", strerror(errno));
    for (int i = 0; i < options.connections; i++) {
        connection *c = &connections[i];
        c->fd = options.unix_path ? connect_unix(options.unix_path) : connect_tcp(options.tcp);
        c->size = FIRST_BUFFER;
        c->buffer = grown(NULL, c->size);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, c->fd, &event) != 0) die("epoll_ctl: %s", strerror(errno));
    }
    if (options.warmup > 0) run(poll, connections, options.warmup, 0, false);
    uint64_t began = now_ns();
    uint64_t deadline = options.seconds > 0 ? began + (uint64_t)(options.seconds * 1e9) : 0;
    uint64_t done = run(poll, connections, options.count, deadline, true);
    double seconds = (double)(now_ns() - began) / 1e9;
    qsort(samples, sample_count, sizeof *samples, by_value);
    printf("{\"connections\":%d,\"replies\":%llu,\"seconds\":%.3f,\"perSecond\":%.1f,\"p50Us\":%.1f,\"p99Us\":%.1f,"
           "\"maxUs\":%.1f,\"replyBytes\":%llu}\n",
           options.connections, (unsigned long long)done, seconds, (double)done / seconds, percentile_us(0.50),
           percentile_us(0.99), percentile_us(1.0), (unsigned long long)(done ? reply_bytes / done : 0));
    return 0;
}
