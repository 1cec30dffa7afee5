// The load: one thread, one epoll, plain HTTP/1.1 over loopback. Prints one JSON object.
//
//   load PORT closed CONNECTIONS SECONDS BODY_BYTES        as many requests as go, one at a time on each connection
//   load PORT count CONNECTIONS REQUESTS BODY_BYTES        exactly so many, for counting instructions
//   load PORT rate CONNECTIONS SECONDS PER_SECOND          at a constant rate; latency from the moment a request was due
//   load PORT streams STREAMS SECONDS GAP_US CHUNKS        streams one after the other on each connection, begun at even
//                                                          distances so that their chunks do not come in bursts
//   load PORT hold STREAMS SECONDS GAP_US CHUNKS           the same, opened at 1,000 a second, then held open
//
// A request that fails is counted, and its connection made anew; when a thousand have failed, and more than succeeded, it ends.
// Chunks are counted by bytes delivered. Every chunk carries the moment of its writing, so its age is known.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct connection {
    int fd;
    bool busy, headDone;
    uint64_t due;           // when the request should have left
    size_t need, got;       // of a plain response
    size_t unsent;
    unsigned tail;          // the last four bytes of a stream
    unsigned long streamBytes;
};

static struct connection *connections;
static char *request;
static size_t requestLength;
static int poller, port, amount;
static bool streams;
static unsigned long done, bytesDelivered, failures;
static bool unreachable;
static uint32_t *latencies;  // units of 100 ns
static size_t latencyCount, latencyRoom;
static char buffer[1 << 18];

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void note(uint64_t nanoseconds) {
    if (latencyCount == latencyRoom) {
        latencyRoom = latencyRoom ? latencyRoom * 2 : 1 << 16;
        latencies = realloc(latencies, latencyRoom * sizeof *latencies);
    }
    latencies[latencyCount++] = (uint32_t)(nanoseconds / 100);
}

static void build(long bodyBytes, const char *more) {
    const char *text = "You are a helpful assistant. Answer in one line, please.\\n";
    char *body = malloc((size_t)bodyBytes + 1024), *out = body;
    out += sprintf(out, "{\"messages\":[{\"role\":\"user\",\"content\":\"");
    long fixed = 110 + (long)strlen(more);
    while (out - body + fixed < bodyBytes) out += sprintf(out, "%s", text);
    out += sprintf(out, "\"}],\"model\":\"vllm/org/model\",\"max_tokens\":16%s}", more);
    request = malloc((size_t)(out - body) + 1024);
    requestLength = (size_t)sprintf(request,
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:8080\r\nAccept: application/json\r\n"
        "Accept-Encoding: gzip, deflate\r\nUser-Agent: OpenAI/Python 1.0\r\nX-Stainless-Lang: python\r\n"
        "X-Stainless-OS: Linux\r\nAuthorization: Bearer benchmark-key\r\nContent-Type: application/json\r\n"
        "Content-Length: %ld\r\n\r\n", (long)(out - body));
    memcpy(request + requestLength, body, (size_t)(out - body));
    requestLength += (size_t)(out - body);
    free(body);
}

static bool open_connection(struct connection *c) {
    memset(c, 0, sizeof *c);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) < 0) { perror("connect"); return false; }
    int one = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event interest = {.events = EPOLLIN, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &interest);
    return true;
}

// Makes a connection anew whose request has failed, whatever it failed of.
static void fail(struct connection *c, const char *why, size_t length) {
    if (failures++ == 0) fprintf(stderr, "load: the first failure: %.*s\n", (int)(length < 300 ? length : 300), why);
    close(c->fd);
    if (!open_connection(c)) unreachable = true;
}

static void push(struct connection *c) {
    while (c->unsent > 0) {
        ssize_t sent = send(c->fd, request + requestLength - c->unsent, c->unsent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            // What broke is told by the next read.
            if (errno != EAGAIN) { c->unsent = 0; return; }
            struct epoll_event interest = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
            epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &interest);
            return;
        }
        c->unsent -= (size_t)sent;
    }
}

static void start(struct connection *c, uint64_t due) {
    c->busy = true;
    c->headDone = false;
    c->need = c->got = 0;
    c->due = due;
    c->tail = 0;
    c->unsent = requestLength;
    push(c);
}

static void ages(const char *data, size_t length) {
    uint64_t moment = 0;
    for (const char *at = data; (at = memmem(at, length - (size_t)(at - data), "\" t0", 4)); at += 4) {
        if (length - (size_t)(at - data) < 23) return;
        if (!moment) moment = now();
        uint64_t written = strtoull(at + 3, NULL, 10);
        if (written && written < moment) note(moment - written);
    }
}

enum progress { unfinished, finished, failed };

static enum progress take(struct connection *c) {
    ssize_t got = recv(c->fd, buffer, sizeof buffer - 1, MSG_DONTWAIT);
    if (got < 0 && errno == EAGAIN) return unfinished;
    if (got <= 0) {
        const char *why = got < 0 ? strerror(errno) : "the connection ended";
        bool waited = c->busy;
        if (!waited) { close(c->fd); if (!open_connection(c)) unreachable = true; return unfinished; }
        fail(c, why, strlen(why));
        return failed;
    }
    char *data = buffer;
    size_t length = (size_t)got;
    buffer[got] = 0;
    if (!c->headDone) {
        char *end = memmem(data, length, "\r\n\r\n", 4);
        if (!end || strncmp(data, "HTTP/1.1 200", 12)) { fail(c, data, length); return failed; }
        c->headDone = true;
        size_t head = (size_t)(end - data) + 4;
        if (!streams) {
            char *field = strcasestr(data, "\r\ncontent-length:");
            if (!field) { fail(c, data, length); return failed; }
            c->need = head + strtoul(field + 17, NULL, 10);
        }
        if (streams) { data += head; length -= head; }
    }
    if (!streams) { c->got += length; return c->got >= c->need ? finished : unfinished; }
    bytesDelivered += length;
    ages(data, length);
    for (size_t index = length > 4 ? length - 4 : 0; index < length; index++)
        c->tail = c->tail << 8 | (unsigned char)data[index];
    // The last chunk: 0 CR LF CR LF.
    return c->tail == 0x0d0a0d0a ? finished : unfinished;
}

// Seconds of processor time so far.
static double processor(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static double percentile(double part) {
    return latencyCount ? latencies[(size_t)((double)(latencyCount - 1) * part)] / 10.0 : 0;
}

int main(int count, char **words) {
    if (count < 6) { fprintf(stderr, "load PORT closed|count|rate|streams|hold …\n"); return 2; }
    struct rlimit files = {65536, 65536};
    setrlimit(RLIMIT_NOFILE, &files);
    port = atoi(words[1]);
    const char *mode = words[2];
    amount = atoi(words[3]);
    double seconds = atof(words[4]);
    long limit = 0, rate = 0, opened = 0;
    bool hold = !strcmp(mode, "hold");
    streams = hold || !strcmp(mode, "streams");
    if (streams) {
        char more[128];
        snprintf(more, sizeof more, ",\"stream\":true,\"gap_us\":%s,\"chunks\":%s", words[5], words[6]);
        build(450, more);
    } else if (!strcmp(mode, "rate")) {
        rate = atol(words[5]);
        build(450, "");
    } else {
        build(atol(words[5]), "");
        if (!strcmp(mode, "count")) { limit = atol(words[4]); seconds = 600; }
    }
    prctl(PR_SET_TIMERSLACK, 1);
    poller = epoll_create1(0);
    connections = calloc((size_t)amount, sizeof *connections);
    if (!hold) for (int index = 0; index < amount; index++, opened++) if (!open_connection(&connections[index])) return 1;
    uint64_t begin = now(), end = begin + (uint64_t)(seconds * 1e9), started = 0, lastByte = begin;
    uint64_t distance = streams && !hold ? strtoull(words[5], NULL, 10) * 1000u / (uint64_t)amount : 0;
    int begun = 0;
    if (!rate && !streams)
        for (int index = 0; index < amount; index++)
            if (!limit || (long)started < limit) { started++; start(&connections[index], now()); }
    struct epoll_event events[256];
    int next = 0;
    double spent = processor();
    uint64_t moment;
    while ((moment = now()) < end && !(limit && (long)(done + failures) >= limit)) {
        if (unreachable || (failures >= 1000 && failures > done)) break;
        int wait = 100;
        uint64_t rest = 0;
        if (rate) {
            // Those whose moment has come leave, on whichever connection is free.
            while (begin + started * 1000000000u / (uint64_t)rate <= moment) {
                int tried = 0;
                while (connections[next].busy && tried++ < amount) next = (next + 1) % amount;
                if (connections[next].busy) break;
                start(&connections[next], begin + started * 1000000000u / (uint64_t)rate);
                started++;
            }
            // Sleeps until the next is due, so that the stand-in has the processor where both share one.
            uint64_t due = begin + started * 1000000000u / (uint64_t)rate, present = now();
            rest = due > present ? due - present : 0;
            // All connections wait for an answer: so does this.
            if (connections[next].busy && rest == 0) rest = 100000000;
        }
        if (hold && opened < amount) {
            while (opened < amount && begin + (uint64_t)opened * 1000000u <= moment) {
                if (!open_connection(&connections[opened])) return 1;
                start(&connections[opened], now());
                opened++;
            }
            wait = 1;
        }
        for (; streams && !hold && begun < amount; begun++) {
            wait = 0;
            if (begin + (uint64_t)begun * distance > moment) break;
            start(&connections[begun], moment);
        }
        struct timespec pause = {.tv_nsec = (long)(rest < 100000000 ? rest : 100000000)};
        int ready = rate ? epoll_pwait2(poller, events, 256, &pause, NULL) : epoll_wait(poller, events, 256, wait);
        for (int index = 0; index < ready; index++) {
            struct connection *c = events[index].data.ptr;
            if (events[index].events & EPOLLOUT) {
                push(c);
                if (c->unsent == 0) {
                    struct epoll_event interest = {.events = EPOLLIN, .data.ptr = c};
                    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &interest);
                }
            }
            if (!(events[index].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) continue;
            enum progress progress = take(c);
            if (progress == unfinished) continue;
            lastByte = now();
            if (progress == finished) {
                done++;
                if (!streams) note(lastByte - c->due);
            }
            c->busy = false;
            if (rate || hold) continue;
            if (!limit || (long)started < limit) { started++; start(c, lastByte); }
        }
    }
    double elapsed = (double)((limit ? lastByte : now()) - begin) / 1e9;
    qsort(latencies, latencyCount, sizeof *latencies, ascending);
    printf("{\"done\":%lu,\"failures\":%lu,\"seconds\":%.4f,\"bytes\":%lu,\"samples\":%zu,\"p50_us\":%.1f,\"p90_us\":%.1f,"
        "\"p99_us\":%.1f,\"late\":%ld,\"request_bytes\":%zu,\"processor\":%.4f}\n",
        done, failures, elapsed, bytesDelivered, latencyCount, percentile(0.5), percentile(0.9), percentile(0.99),
        rate ? (long)((double)rate * elapsed) - (long)done : 0, requestLength,
        processor() - spent);
    return 0;
}
