// load: opens WebSocket connections from one thread, logs them in, counts the frames they get, and measures the latency
// of frames that carry "t":<unix time in ns>. Prints READY when all are in, and one line of JSON at the end, which comes
// when the expected frames are there, after the time-out, or with SIGTERM.
//
//   -p PORT[,PORT]  where to connect, in turns          -n N    connections
//   -P PATH         path of the request                 -F FILE line k is the first frame of connection k
//   -H FRAME        further first frame (repeatable)    -r N    frames until a connection counts as ready
//   -e N            frames to wait for per connection   -T S    time-out in seconds, counted from READY
//   -s N            measure latency on every Nth one    -t      count frames with a "t" only
//   -E FRAME -M N -K N   echo: send FRAME, N in all, K in flight; each answer is followed by the next
//   -O              only even connections send          -J N    joins and leaves per second (with -j and -l FRAME)
//   -D N            send -H frames but the first only after N frames came
//
// In a FRAME %d is the number of the connection, %h half of it, %g a tenth of it, %t the time in ns.
#include "socket.h"

enum { CONNECTING, GREETED, READY, CLOSED };
enum { INFLIGHT = 64, BUFFER = 1 << 18, BUCKETS = 3000000, BUCKET_NS = 10000 };

typedef struct {
    int fd, state, frames;
    long messages, sent;
    int joined;
    unsigned char *rest;
    size_t rest_len;
} Conn;

static Conn *conns;
static int count = 100, port_count, ports[16], first_count, login_count, ready_frames = 1, in_flight = 1, sample = 1;
static int only_even, only_timed, hold, ready, closed, opening;
static char *path = "/", **logins, *firsts[8], *echo, *join_frame = "", *leave_frame = "";
static long expect, echoes, churn, total, bytes, latencies;
static double timeout = 60, first_at, last_at;
static long long first_sent_ns, last_at_ns;
static int histogram[BUCKETS];
static volatile sig_atomic_t stop;

static void on_term(int signal) { stop = signal; }

static void send_text(Conn *conn, const char *template) {
    char text[FRAME_MAX];
    size_t at = 0;
    int index = conn - conns;
    for (const char *from = template; *from && at < FRAME_MAX - 32; from++) {
        if (from[0] == '%' && from[1] && strchr("dhgt", from[1])) {
            long long value = from[1] == 'd' ? index : from[1] == 'h' ? index / 2 : from[1] == 'g' ? index / 10 : unix_ns();
            at += sprintf(text + at, "%lld", value);
            from++;
        } else {
            text[at++] = *from;
        }
    }
    write_frame(conn->fd, 1, text, at);
}

static void send_login(Conn *conn) { // as it stands: init data is full of %
    const char *line = logins[(conn - conns) % login_count];
    write_frame(conn->fd, 1, line, strlen(line));
}

static void open_one(int epoll, int index) {
    Conn *conn = &conns[index];
    conn->fd = connect_to(ports[index % port_count], path);
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = index};
    epoll_ctl(epoll, EPOLL_CTL_ADD, conn->fd, &event);
    opening++;
}

static void measure(const unsigned char *payload, size_t size, long long at) {
    unsigned char *found = memmem(payload, size, "\"t\":", 4);
    if (!found) return;
    long long sent = atoll((char *)found + 4), late = (at - sent) / BUCKET_NS;
    if (!first_sent_ns || sent < first_sent_ns) first_sent_ns = sent;
    histogram[late < 0 ? 0 : late >= BUCKETS ? BUCKETS - 1 : late]++;
    latencies++;
}

static void next_echo(Conn *conn) {
    if (!echo || conn->sent >= echoes || (only_even && ((conn - conns) & 1))) return;
    conn->sent++;
    send_text(conn, echo);
}

static void got_message(Conn *conn, const unsigned char *payload, size_t size, double at, long long at_ns) {
    if (size == 1 && payload[0] == '2') { // Engine.IO's ping
        send_text(conn, "3");
        return;
    }
    if (conn->state == GREETED) {
        conn->frames++;
        for (int i = 1; hold && conn->frames == hold && i < first_count; i++) send_text(conn, firsts[i]);
        if (conn->frames >= ready_frames) {
            conn->state = READY;
            ready++;
            opening--;
        }
        return;
    }
    if (only_timed && !memmem(payload, size, "\"t\":", 4)) return;
    conn->messages++;
    total++;
    bytes += size;
    if (!first_at) first_at = at;
    last_at = at;
    last_at_ns = at_ns;
    if ((conn - conns) % sample == 0) measure(payload, size, at_ns);
    next_echo(conn);
}

static size_t got_handshake(Conn *conn, unsigned char *data, size_t size) {
    unsigned char *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    if (size < 12 || strncmp((char *)data, "HTTP/1.1 101", 12)) {
        fprintf(stderr, "no handshake: %.*s\n", (int)(size > 300 ? 300 : size), data);
        exit(1);
    }
    conn->state = GREETED;
    if (login_count) send_login(conn);
    for (int i = 0; i < (hold ? 1 : first_count) && i < first_count; i++) send_text(conn, firsts[i]);
    return end + 4 - data;
}

static size_t got_frame(Conn *conn, unsigned char *data, size_t size, double at, long long at_ns) {
    size_t length, head = frame_head(data, size, &length);
    if (!head) return 0;
    int opcode = data[0] & 15;
    if (opcode == 9 && length < 126) write_frame(conn->fd, 10, data + head, length);
    if (opcode < 3) got_message(conn, data + head, length, at, at_ns);
    return head + length;
}

static void lost(Conn *conn) {
    if (conn->state < READY) opening--;
    conn->state = CLOSED;
    closed++;
    close(conn->fd);
}

static void readable(Conn *conn) {
    static unsigned char buffer[BUFFER + FRAME_MAX];
    if (conn->state == CLOSED) return;
    size_t size = conn->rest_len, at = 0, used;
    memcpy(buffer, conn->rest, size);
    ssize_t got = read(conn->fd, buffer + size, sizeof buffer - size);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        lost(conn);
        return;
    }
    size += got;
    if (conn->state == CONNECTING) at = got_handshake(conn, buffer, size);
    double clock = now();
    long long clock_ns = unix_ns();
    if (conn->state != CONNECTING)
        while ((used = got_frame(conn, buffer + at, size - at, clock, clock_ns))) at += used;
    conn->rest_len = size - at;
    if (conn->rest_len > FRAME_MAX) {
        fprintf(stderr, "a frame of more than %d bytes\n", FRAME_MAX);
        exit(1);
    }
    if (conn->rest_len) {
        conn->rest = realloc(conn->rest, conn->rest_len);
        memcpy(conn->rest, buffer + at, conn->rest_len);
    }
}

static void churn_until(double since) {
    static long done;
    while (churn && done < (now() - since) * churn) {
        Conn *conn = &conns[rand() % count];
        done++;
        if (conn->state != READY) continue;
        send_text(conn, conn->joined ? leave_frame : join_frame);
        conn->joined = !conn->joined;
    }
}

static double quantile(double q) {
    long seen = 0;
    for (int i = 0; i < BUCKETS; i++)
        if ((seen += histogram[i]) >= q * latencies && seen) return i * (BUCKET_NS / 1e6);
    return 0;
}

static void report(double ready_seconds) {
    long least = -1, most = 0;
    for (int i = 0; i < count; i++) {
        if (least < 0 || conns[i].messages < least) least = conns[i].messages;
        if (conns[i].messages > most) most = conns[i].messages;
    }
    // from when the first was sent, so that a burst that arrives at once is not infinitely fast
    double seconds = first_sent_ns ? (last_at_ns - first_sent_ns) / 1e9 : last_at - first_at;
    printf("{\"connections\":%d,\"ready\":%d,\"ready_seconds\":%.4f,\"closed\":%d,\"frames\":%ld,\"bytes\":%ld,"
           "\"seconds\":%.4f,\"least\":%ld,\"most\":%ld,\"latencies\":%ld",
           count, ready, ready_seconds, closed, total, bytes, seconds, least, most, latencies);
    if (latencies)
        printf(",\"p50\":%.2f,\"p90\":%.2f,\"p99\":%.2f,\"p999\":%.2f,\"max\":%.2f", quantile(.5), quantile(.9),
               quantile(.99), quantile(.999), quantile(1));
    printf("}\n");
}

static void arguments(int argc, char **argv) {
    int option;
    while ((option = getopt(argc, argv, "p:n:P:F:H:r:e:T:s:tE:M:K:OJ:j:l:D:")) != -1) {
        switch (option) {
        case 'p':
            for (char *part = strtok(optarg, ","); part && port_count < 16; part = strtok(NULL, ","))
                ports[port_count++] = atoi(part);
            break;
        case 'n': count = atoi(optarg); break;
        case 'P': path = optarg; break;
        case 'F': login_count = read_lines(optarg, &logins); break;
        case 'H': if (first_count < 8) firsts[first_count++] = optarg; break;
        case 'r': ready_frames = atoi(optarg); break;
        case 'e': expect = atol(optarg); break;
        case 'T': timeout = atof(optarg); break;
        case 's': sample = atoi(optarg); break;
        case 't': only_timed = 1; break;
        case 'E': echo = optarg; break;
        case 'M': echoes = atol(optarg); break;
        case 'K': in_flight = atoi(optarg); break;
        case 'O': only_even = 1; break;
        case 'D': hold = atoi(optarg); break;
        case 'J': churn = atol(optarg); break;
        case 'j': join_frame = optarg; break;
        case 'l': leave_frame = optarg; break;
        default: exit(2);
        }
    }
    if (!port_count) {
        fprintf(stderr, "load: -p PORT is needed\n");
        exit(2);
    }
}

int main(int argc, char **argv) {
    arguments(argc, argv);
    raise_file_limit();
    signal(SIGTERM, on_term);
    signal(SIGPIPE, SIG_IGN);
    conns = calloc(count, sizeof *conns);
    int epoll = epoll_create1(0), opened = 0;
    double start = now(), announced = 0;
    struct epoll_event events[1024];
    while (!stop && closed < count) {
        while (opened < count && opening < INFLIGHT) open_one(epoll, opened++);
        int some = epoll_wait(epoll, events, 1024, churn ? 5 : 100);
        for (int i = 0; i < some; i++) readable(&conns[events[i].data.u32]);
        if (!announced && ready == count) {
            announced = now();
            printf("READY\n");
            fflush(stdout);
            for (int i = 0; i < count; i++)
                for (int k = 0; k < in_flight; k++) next_echo(&conns[i]);
        }
        if (announced) churn_until(announced);
        if (announced && expect && total >= expect * count) break;
        if (now() - (announced ? announced : start) > timeout) break;
    }
    report((announced ? announced : now()) - start);
    return 0;
}
