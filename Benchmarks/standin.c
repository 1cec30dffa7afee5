// A stand-in for vLLM that costs next to nothing: one thread, one epoll, fixed bytes.
//
//   standin PORT
//
// A POST is answered by its body's wishes, written as JSON numbers anywhere in it:
//   "stream":true   an event stream instead of one JSON object
//   "chunks":N      events of the stream (default 16)
//   "gap_us":G      microseconds between them (default 0: one after the other, each in a write of its own)
// Every event carries the monotonic clock's nanoseconds at its writing, so that whoever reads it knows its age.
// A GET answers what a gateway's probes ask: /health, /v1/models, /version, /metrics.
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
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_FD = 65536, HEAD = 16384 };

struct connection {
    char *data;          // the head and the beginning of the body
    size_t held, room;
    size_t bodyLeft;     // of a body too large to keep: bytes still to be thrown away
    long chunksLeft;
    uint64_t gap, due;   // nanoseconds
    struct connection *next;
    int fd;
    bool inBody, streaming, queued, blocked, ended;
};

static struct connection connections[MAX_FD];
static struct connection *first, *last;  // streams by the moment they are due: all gaps of a run are the same
static char bytes[1 << 20];
static int poller;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void drop(struct connection *c) {
    close(c->fd);
    c->streaming = false;
    c->chunksLeft = 0;
    c->held = 0;
    c->inBody = false;
    c->bodyLeft = 0;
    free(c->data);
    c->data = NULL;
    c->room = 0;
    c->fd = -1;
}

static bool put(struct connection *c, const char *text, size_t length) {
    ssize_t sent = send(c->fd, text, length, MSG_NOSIGNAL);
    if (sent == (ssize_t)length) return true;
    if (sent < 0 && errno == EAGAIN) { c->blocked = true; return false; }
    // Half an event cannot be taken back; no reader of this benchmark is that slow.
    if (c->fd >= 0) shutdown(c->fd, SHUT_RDWR);
    return false;
}

static const char body[] =
    "{\"id\":\"chatcmpl-0123456789abcdef\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"org/model\",\"choices\":"
    "[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"A short answer.\"},\"finish_reason\":\"stop\"}],"
    "\"usage\":{\"prompt_tokens\":90,\"total_tokens\":94,\"completion_tokens\":4}}";
// One event in its chunk; the nineteen digits behind "t0" are the moment of its writing.
static char eventText[] =
    "%x\r\ndata: {\"id\":\"chatcmpl-0123456789abcdef\",\"object\":\"chat.completion.chunk\",\"created\":1,"
    "\"model\":\"org/model\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" t0000000000000000000\"},"
    "\"logprobs\":null,\"finish_reason\":null}]}\n\n\r\n";
static size_t eventLength;
static char *eventDigits;

// Writes the length of the one chunk into its text, once.
static void prepareEvent(void) {
    char text[sizeof eventText + 16];
    size_t payload = strlen(eventText) - strlen("%x\r\n") - strlen("\r\n");
    eventLength = (size_t)snprintf(text, sizeof text, "%zx%s", payload, eventText + 2);
    memcpy(eventText, text, eventLength);
    eventDigits = (char *)memmem(eventText, eventLength, "\" t0", 4) + 3;
}

static bool event(struct connection *c) {
    uint64_t moment = now();
    for (int digit = 18; digit >= 0; digit--, moment /= 10) eventDigits[digit] = (char)('0' + moment % 10);
    return put(c, eventText, eventLength);
}

static void finish(struct connection *c) {
    static const char end[] = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";
    c->streaming = false;
    put(c, end, sizeof end - 1);
}

static void queue(struct connection *c) {
    if (c->queued) return;
    c->queued = true;
    c->next = NULL;
    if (last) last->next = c; else first = c;
    last = c;
}

static long number(const char *text, const char *key, long otherwise) {
    const char *at = strstr(text, key);
    return at ? atol(at + strlen(key)) : otherwise;
}

static void plain(struct connection *c, const char *type, const char *text) {
    char out[4096];
    int length = snprintf(out, sizeof out,
        "HTTP/1.1 200 OK\r\ndate: Sun, 01 Nov 2026 10:00:00 GMT\r\nserver: uvicorn\r\ncontent-length: %zu\r\n"
        "content-type: %s\r\n\r\n%s", strlen(text), type, text);
    put(c, out, (size_t)length);
}

static void answer(struct connection *c, char *head, char *text) {
    if (head[0] == 'G') {
        if (!strncmp(head, "GET /v1/models", 14))
            return plain(c, "application/json",
                "{\"object\":\"list\",\"data\":[{\"id\":\"org/model\",\"object\":\"model\",\"created\":1,\"owned_by\":\"vllm\","
                "\"root\":\"org/model\",\"parent\":null,\"max_model_len\":4096}]}");
        if (!strncmp(head, "GET /version", 12)) return plain(c, "application/json", "{\"version\":\"0.11.0\"}");
        if (!strncmp(head, "GET /metrics", 12))
            return plain(c, "text/plain; version=0.0.4", "vllm:num_requests_running{engine=\"0\"} 0.0\n");
        return plain(c, "application/json", "");
    }
    if (!strstr(text, "\"stream\":true") && !strstr(text, "\"stream\": true"))
        return plain(c, "application/json", body);
    static const char start[] =
        "HTTP/1.1 200 OK\r\ndate: Sun, 01 Nov 2026 10:00:00 GMT\r\nserver: uvicorn\r\n"
        "content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n";
    put(c, start, sizeof start - 1);
    c->chunksLeft = number(text, "\"chunks\":", 16);
    c->gap = (uint64_t)number(text, "\"gap_us\":", 0) * 1000;
    c->streaming = true;
    if (c->gap == 0) {
        while (c->chunksLeft-- > 0 && event(c)) {}
        return finish(c);
    }
    event(c);
    c->chunksLeft--;
    c->due = now() + c->gap;
    queue(c);
}

static void readable(struct connection *c) {
    while (c->fd >= 0) {
        if (c->bodyLeft > 0) {
            ssize_t got = recv(c->fd, bytes, c->bodyLeft < sizeof bytes ? c->bodyLeft : sizeof bytes, 0);
            if (got == 0 || (got < 0 && errno != EAGAIN)) return drop(c);
            if (got < 0) return;
            c->bodyLeft -= (size_t)got;
            if (c->bodyLeft == 0) { c->held = 0; plain(c, "application/json", body); }
            if (c->fd < 0) return;
            continue;
        }
        if (!c->data) { c->room = HEAD; c->data = malloc(HEAD + 1); }
        size_t asked = c->room - c->held;
        ssize_t got = recv(c->fd, c->data + c->held, asked, 0);
        if (got == 0 || (got < 0 && errno != EAGAIN)) return drop(c);
        if (got < 0) {
            if (c->held == 0) { free(c->data); c->data = NULL; }
            return;
        }
        c->held += (size_t)got;
        c->data[c->held] = 0;
        while (c->held > 0) {
            char *end = strstr(c->data, "\r\n\r\n");
            if (!end) { if (c->held == c->room) return drop(c); break; }
            size_t headLength = (size_t)(end - c->data) + 4;
            char *field = strcasestr(c->data, "\r\ncontent-length:");
            size_t length = field && field < end ? strtoul(field + 17, NULL, 10) : 0;
            if (headLength + length > c->room) {
                c->bodyLeft = headLength + length - c->held;
                break;
            }
            if (c->held < headLength + length) break;
            char saved = c->data[headLength + length];
            c->data[headLength + length] = 0;
            answer(c, c->data, c->data + headLength);
            if (c->fd < 0) return;
            c->data[headLength + length] = saved;
            c->held -= headLength + length;
            memmove(c->data, c->data + headLength + length, c->held);
            c->data[c->held] = 0;
        }
        // Fewer bytes than asked for: no more have come, and epoll tells of the next ones.
        if (c->bodyLeft == 0 && (size_t)got < asked && !c->ended) {
            if (c->held == 0) { free(c->data); c->data = NULL; }
            return;
        }
    }
}

int main(int count, char **words) {
    if (count != 2) { fprintf(stderr, "standin PORT\n"); return 2; }
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[1]))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) < 0 || listen(listener, 8192) < 0) {
        perror("standin");
        return 1;
    }
    prepareEvent();
    prctl(PR_SET_TIMERSLACK, 1);
    poller = epoll_create1(0);
    struct epoll_event interest = {.events = EPOLLIN, .data.fd = listener}, events[256];
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &interest);
    while (true) {
        // Sleeps to the very moment: milliseconds would make it turn without pause on a processor that it may share.
        struct timespec rest = {0};
        if (first) {
            uint64_t moment = now(), left = first->due <= moment ? 0 : first->due - moment;
            rest = (struct timespec){.tv_sec = (time_t)(left / 1000000000u), .tv_nsec = (long)(left % 1000000000u)};
        }
        int ready = epoll_pwait2(poller, events, 256, first ? &rest : NULL, NULL);
        for (int index = 0; index < ready; index++) {
            int fd = events[index].data.fd;
            if (fd != listener) {
                if (events[index].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) connections[fd].ended = true;
                readable(&connections[fd]);
                continue;
            }
            while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
                if (fd >= MAX_FD) { close(fd); continue; }
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                connections[fd].fd = fd;
                connections[fd].ended = false;
                interest = (struct epoll_event){.events = EPOLLIN | EPOLLRDHUP | EPOLLET, .data.fd = fd};
                epoll_ctl(poller, EPOLL_CTL_ADD, fd, &interest);
            }
        }
        uint64_t moment = now();
        for (int some = 0; first && first->due <= moment && some < 64; some++) {
            struct connection *c = first;
            first = c->next;
            if (!first) last = NULL;
            c->queued = false;
            if (c->fd < 0 || !c->streaming) continue;
            if (c->chunksLeft-- > 0) {
                event(c);
                c->due = (c->due + c->gap > moment) ? c->due + c->gap : moment + c->gap;
                queue(c);
            } else {
                finish(c);
            }
        }
    }
}
