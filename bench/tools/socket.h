// What the load tools share: clocks, and a blocking open and plain frames of a WebSocket client.
// Source: RFC 6455, sections 4.1 and 5.2
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FRAME_MAX = 1 << 14 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static long long unix_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

static void raise_file_limit(void) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

// Reads the lines of a file; returns how many.
static int read_lines(const char *file, char ***lines) {
    FILE *in = fopen(file, "r");
    if (!in) die(file);
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    int count = 0;
    while ((length = getline(&line, &size, in)) > 0) {
        if (line[length - 1] == '\n') line[length - 1] = 0;
        *lines = realloc(*lines, (count + 1) * sizeof **lines);
        (*lines)[count++] = strdup(line);
    }
    fclose(in);
    return count;
}

// Connects and asks for a WebSocket; the answer is yet to come. Returns the descriptor, which does not block.
static int connect_to(int port, const char *path) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (fd < 0) die("socket");
    if (connect(fd, (void *)&to, sizeof to) < 0) die("connect");
    char request[2048];
    int size = snprintf(request, sizeof request,
                        "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
                        path, port);
    if (write(fd, request, size) != size) die("write");
    fcntl(fd, F_SETFL, O_NONBLOCK);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static void write_frame(int fd, int opcode, const void *data, size_t size) {
    unsigned char frame[FRAME_MAX + 16];
    size_t at = 0;
    frame[at++] = 0x80 | opcode;
    if (size < 126) {
        frame[at++] = 0x80 | size;
    } else {
        frame[at++] = 0x80 | 126;
        frame[at++] = size >> 8;
        frame[at++] = size & 255;
    }
    memset(frame + at, 0, 4); // a mask of zeros leaves the payload as it is
    memcpy(frame + at + 4, data, size);
    if (write(fd, frame, at + 4 + size) != (ssize_t)(at + 4 + size) && errno != EPIPE && errno != ECONNRESET) perror("send");
}

// Reads the head of a frame; returns its size, or 0 where the whole frame is not there yet.
static size_t frame_head(const unsigned char *data, size_t size, size_t *length) {
    size_t head = 2;
    if (size < 2) return 0;
    *length = data[1] & 127;
    if (*length == 126) {
        if (size < 4) return 0;
        *length = data[2] << 8 | data[3];
        head = 4;
    } else if (*length == 127) {
        if (size < 10) return 0;
        *length = 0;
        for (int i = 2; i < 10; i++) *length = *length << 8 | data[i];
        head = 10;
    }
    return size < head + *length ? 0 : head;
}
