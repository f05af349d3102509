// paint: clients of the pixel board that paint at once, each with a board of its own. Prints READY when all have loaded
// theirs, then paints, and prints one line of JSON once every client has every batch, after the time-out, or with SIGTERM.
//
//   -p PORT[,PORT]  where to connect, in turns          -n N    clients
//   -F FILE         line k is the login of client k     -e N    pixels that each paints
//   -r R            pixels a second of each             -T S    time-out in seconds, counted from READY
//   -s N            measure latency on every Nth one    -o FILE where to write the board, two pixels a byte
//
// A quarter of the pixels go to 64 places that all paint on, so that nodes paint over each other; the latency is that of
// the others, which nobody else paints on meanwhile.
//
// What comes is the same bytes for all, which is checked, so it is parsed once, and each client notes in which order it
// came. Its board is made of that at the end: thousands of boards kept live would cost more than the nodes do.
#include "socket.h"

enum { CONNECTING, GREETED, READY, CLOSED };
enum { SIDE = 256, PLACES = SIDE * SIDE, CROWDED = 64, MOST_BATCHES = 4095, INFLIGHT = 64, BUFFER = 1 << 18 };
enum { MOST_LOADS = 64 };
enum { BUCKETS = 600000, BUCKET_NS = 100000 };

typedef struct {
    int fd, state, loaded; // number of the board it loaded
    long got;              // batches since
    uint16_t arrived[MOST_BATCHES + 1];
    unsigned char *rest;
    size_t rest_len;
} Client;

typedef struct { // as it came first
    char *text;
    size_t size;
    long version, count;
    uint32_t *pixels; // of a batch: 16 times the place and the colour; of a board: the colours
} Message;

static Client *clients;
static Message loads[MOST_LOADS], told[MOST_BATCHES + 1]; // told: by version since that of the first board
static int count = 100, port_count, ports[16], login_count, sample = 1, ready, closed, opening, load_count;
static char **logins, *board_file;
static long each = 10, sent, painted, refused, errors, newest, loaded_sum, batches, different, frames, pixels, bytes, latencies;
static double rate = 1, timeout = 60;
static long long first_sent_ns, last_at_ns, sent_ns[PLACES];
static unsigned char wanted[PLACES];
static int histogram[BUCKETS], base64[256];
static volatile sig_atomic_t stop;

static void on_term(int signal) { stop = signal; }

static void say(Client *client, const char *text) { write_frame(client->fd, 1, text, strlen(text)); }

static long number_after(const char *text, const char *key, long missing) {
    const char *found = strstr(text, key);
    return found ? atol(found + strlen(key)) : missing;
}

// Painting

static void paint_next(void) {
    Client *client = &clients[sent * 7919 % count];
    long place = sent % 4 == 0 ? sent * 7919 % CROWDED : CROWDED + sent * 40507 % (PLACES - CROWDED);
    char text[128];
    wanted[place] = 1 + sent % 15;
    sent_ns[place] = unix_ns();
    if (!first_sent_ns) first_sent_ns = sent_ns[place];
    sprintf(text, "{\"type\":\"paint\",\"place\":%ld,\"colour\":%d,\"id\":%ld}", place, wanted[place], sent);
    if (client->state == READY) say(client, text);
    sent++;
}

// What a client sees

static int first_of(Message *message, const char *text, size_t size) {
    if (message->text) {
        different += message->size != size || memcmp(message->text, text, size);
        return 0;
    }
    message->text = memcpy(malloc(size + 1), text, size + 1);
    message->size = size;
    message->version = number_after(text, "\"version\":", 0);
    return 1;
}

static void parse_board(Message *board) { // base64: 6 bits a character; 4 a pixel
    const char *from = strstr(board->text, "\"pixels\":\"");
    int bits = 0, held = 0;
    board->pixels = calloc(PLACES, sizeof *board->pixels);
    if (!from) return;
    from += strlen("\"pixels\":\"");
    for (int place = 0; place < PLACES && *from != '"'; place++) {
        if (held < 4) {
            bits = (bits & 15) << 6 | base64[(unsigned char)*from++];
            held += 6;
        }
        held -= 4;
        board->pixels[place] = bits >> held & 15;
    }
}

static void load_board(Client *client, const char *text, size_t size) {
    long version = number_after(text, "\"version\":", 0);
    int at = 0;
    while (at < load_count && loads[at].version != version) at++;
    if (at == MOST_LOADS) {
        fprintf(stderr, "more than %d boards were loaded\n", MOST_LOADS);
        exit(1);
    }
    if (at == load_count) load_count++;
    if (first_of(&loads[at], text, size)) parse_board(&loads[at]);
    client->loaded = at;
    loaded_sum += version;
    client->state = READY;
    ready++;
    opening--;
}

static void parse_batch(Message *batch) {
    const char *from = strstr(batch->text, "\"pixels\":[");
    batch->pixels = malloc(batch->size * sizeof *batch->pixels);
    if (!from) return;
    for (from += strlen("\"pixels\":["); *from >= '0' && *from <= '9'; from += *from == ',') {
        char *end;
        batch->pixels[batch->count++] = strtoul(from, &end, 10);
        from = end;
    }
}

static void measure(const Message *batch, long long at_ns) {
    for (long i = 0; i < batch->count; i++) {
        long place = batch->pixels[i] >> 4;
        if (place < CROWDED || wanted[place] != (batch->pixels[i] & 15)) continue;
        long late = (at_ns - sent_ns[place]) / BUCKET_NS;
        histogram[late < 0 ? 0 : late >= BUCKETS ? BUCKETS - 1 : late]++;
        latencies++;
    }
}

static void take_batch(Client *client, const char *text, size_t size, long long at_ns) {
    long version = number_after(text, "\"version\":", 0), since = version - loads[0].version;
    if (client->state != READY || version <= loads[client->loaded].version) return; // it is in the board that was loaded
    if (since < 1 || since > MOST_BATCHES || client->got == MOST_BATCHES) {
        fprintf(stderr, "more than %d batches\n", MOST_BATCHES);
        exit(1);
    }
    if (first_of(&told[since], text, size)) parse_batch(&told[since]);
    if ((client - clients) % sample == 0) measure(&told[since], at_ns);
    client->arrived[client->got++] = since;
    batches++;
    pixels += told[since].count;
    last_at_ns = at_ns;
}

static void take_reply(const char *text) {
    long version = number_after(text, "\"version\":", 0);
    if (strstr(text, "\"painted\":true")) painted++;
    else refused++;
    if (version > newest) newest = version;
}

static void got_message(Client *client, char *text, size_t size, long long at_ns) {
    char after = text[size];
    text[size] = 0; // for strstr; what follows is put back
    frames++;
    bytes += size;
    if (!strncmp(text, "{\"type\":\"pixels\"", 16)) take_batch(client, text, size, at_ns);
    else if (!strncmp(text, "{\"type\":\"welcome\"", 17)) say(client, "{\"type\":\"subscribe\",\"channel\":\"board\"}");
    else if (!strncmp(text, "{\"type\":\"joined\"", 16)) say(client, "{\"type\":\"board\",\"id\":\"board\"}");
    else if (!strncmp(text, "{\"type\":\"error\"", 15)) errors++;
    else if (!strncmp(text, "{\"type\":\"reply\"", 15)) {
        if (client->state == READY) take_reply(text);
        else load_board(client, text, size);
    }
    text[size] = after;
}

static size_t got_handshake(Client *client, unsigned char *data, size_t size) {
    unsigned char *end = memmem(data, size, "\r\n\r\n", 4);
    if (!end) return 0;
    if (strncmp((char *)data, "HTTP/1.1 101", 12)) {
        fprintf(stderr, "no handshake: %.*s\n", (int)(size > 300 ? 300 : size), data);
        exit(1);
    }
    client->state = GREETED;
    say(client, logins[(client - clients) % login_count]);
    return end + 4 - data;
}

static size_t got_frame(Client *client, unsigned char *data, size_t size, long long at_ns) {
    size_t length, head = frame_head(data, size, &length);
    if (!head) return 0;
    int opcode = data[0] & 15;
    if (opcode == 9 && length < 126) write_frame(client->fd, 10, data + head, length);
    if (opcode == 1) got_message(client, (char *)data + head, length, at_ns);
    return head + length;
}

static void lost(Client *client) {
    if (client->state < READY) opening--;
    client->state = CLOSED;
    closed++;
    close(client->fd);
}

static void readable(Client *client) {
    static unsigned char buffer[2 * BUFFER + 1];
    if (client->state == CLOSED) return;
    size_t size = client->rest_len, at = 0, used;
    memcpy(buffer, client->rest, size);
    ssize_t got = read(client->fd, buffer + size, BUFFER);
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
        lost(client);
        return;
    }
    size += got;
    if (client->state == CONNECTING) at = got_handshake(client, buffer, size);
    long long clock_ns = unix_ns();
    if (client->state != CONNECTING)
        while ((used = got_frame(client, buffer + at, size - at, clock_ns))) at += used;
    client->rest_len = size - at;
    if (client->rest_len > BUFFER) {
        fprintf(stderr, "a frame of more than %d bytes\n", BUFFER);
        exit(1);
    }
    client->rest = realloc(client->rest, client->rest_len + 1);
    memcpy(client->rest, buffer + at, client->rest_len);
}

// The end

static int complete(void) {
    return sent == each * count && painted + refused + errors == sent && batches + loaded_sum == newest * count;
}

static double quantile(double q) {
    long seen = 0;
    for (int i = 0; i < BUCKETS; i++)
        if ((seen += histogram[i]) >= q * latencies && seen) return i * (BUCKET_NS / 1e6);
    return 0;
}

// Makes a client's board as the page does: a batch that comes after a newer one does not paint over it.
static void make_board(const Client *client, unsigned char *colours) {
    static uint16_t versions[PLACES];
    memset(versions, 0, sizeof versions);
    memset(colours, 0, PLACES);
    if (client->state != READY) return;
    for (int place = 0; place < PLACES; place++) colours[place] = loads[client->loaded].pixels[place];
    for (long i = 0; i < client->got; i++) {
        uint16_t version = client->arrived[i];
        const Message *batch = &told[version];
        for (long k = 0; k < batch->count; k++) {
            uint32_t place = batch->pixels[k] >> 4;
            if (place >= PLACES || version < versions[place]) continue;
            versions[place] = version;
            colours[place] = batch->pixels[k] & 15;
        }
    }
}

static void report(double ready_seconds) {
    static unsigned char first[PLACES], colours[PLACES];
    long whole = 0, same = 0;
    make_board(&clients[0], first);
    for (int i = 0; i < count; i++) {
        make_board(&clients[i], colours);
        whole += clients[i].state == READY && loads[clients[i].loaded].version + clients[i].got == newest;
        same += clients[i].state == READY && !memcmp(first, colours, PLACES);
    }
    FILE *out = fopen(board_file, "wb");
    if (!out) die(board_file);
    for (int place = 0; place < PLACES; place += 2)
        fputc(first[place] << 4 | first[place + 1], out);
    fclose(out);
    double seconds = first_sent_ns && last_at_ns ? (last_at_ns - first_sent_ns) / 1e9 : 0;
    printf("{\"connections\":%d,\"ready\":%d,\"ready_seconds\":%.3f,\"closed\":%d,\"painted\":%ld,\"refused\":%ld,"
           "\"errors\":%ld,\"different\":%ld,\"version\":%ld,\"whole\":%ld,\"same\":%ld,\"frames\":%ld,\"batches\":%ld,\"pixels\":%ld,"
           "\"bytes\":%ld,\"seconds\":%.3f,\"latencies\":%ld,\"p50\":%.1f,\"p99\":%.1f,\"max\":%.1f}\n",
           count, ready, ready_seconds, closed, painted, refused, errors, different, newest, whole, same, frames, batches, pixels,
           bytes, seconds, latencies, quantile(.5), quantile(.99), quantile(1));
}

static void arguments(int argc, char **argv) {
    int option;
    while ((option = getopt(argc, argv, "p:n:F:e:r:T:s:o:")) != -1) {
        switch (option) {
        case 'p':
            for (char *part = strtok(optarg, ","); part && port_count < 16; part = strtok(NULL, ","))
                ports[port_count++] = atoi(part);
            break;
        case 'n': count = atoi(optarg); break;
        case 'F': login_count = read_lines(optarg, &logins); break;
        case 'e': each = atol(optarg); break;
        case 'r': rate = atof(optarg); break;
        case 'T': timeout = atof(optarg); break;
        case 's': sample = atoi(optarg); break;
        case 'o': board_file = optarg; break;
        default: exit(2);
        }
    }
    if (!port_count || !login_count || !board_file) {
        fprintf(stderr, "paint: -p PORT, -F FILE and -o FILE are needed\n");
        exit(2);
    }
}

int main(int argc, char **argv) {
    const char *alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int i = 0; alphabet[i]; i++) base64[(unsigned char)alphabet[i]] = i;
    arguments(argc, argv);
    raise_file_limit();
    signal(SIGTERM, on_term);
    signal(SIGPIPE, SIG_IGN);
    clients = calloc(count, sizeof *clients);
    int epoll = epoll_create1(0), opened = 0;
    double start = now(), announced = 0;
    struct epoll_event events[1024];
    while (!stop && closed < count && !complete()) {
        while (opened < count && opening < INFLIGHT) {
            clients[opened].fd = connect_to(ports[opened % port_count], "/ws");
            struct epoll_event event = {.events = EPOLLIN, .data.u32 = opened};
            epoll_ctl(epoll, EPOLL_CTL_ADD, clients[opened++].fd, &event);
            opening++;
        }
        int some = epoll_wait(epoll, events, 1024, announced ? 1 : 100);
        for (int i = 0; i < some; i++) readable(&clients[events[i].data.u32]);
        if (!announced && ready == count) {
            announced = now();
            printf("READY\n");
            fflush(stdout);
        }
        while (announced && sent < each * count && sent < (now() - announced) * rate * count) paint_next();
        if (now() - (announced ? announced : start) > timeout) break;
    }
    report((announced ? announced : now()) - start);
    return 0;
}
