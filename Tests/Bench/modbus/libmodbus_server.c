/* A locker board served by libmodbus itself: its parser of requests, its replies, its exceptions, its checksum.
 *
 *     libmodbus_server tcp PORT          port 0 is any free one
 *     libmodbus_server pty LINK UNIT     a terminal of its own, that LINK leads to
 *
 * 64 coils and 64 discrete inputs, 512 registers. A coil that is switched on opens the door whose input has the same number; so
 * does 1 in a register. The momentary order of Eletechsup's boards (0x0500 in register 1 and up) clears register 0x0081 and up.
 *
 * Prints `listening WHERE`, then {"event":"write","at":…,"coil":…,"value":…,"on":…} for each order that was carried out, and
 * {"event":"mark"} on SIGUSR1. Ends on SIGTERM and with its parent. With `quiet` as the last word it prints no orders.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <modbus.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

enum { CLIENTS = 8, BITS = 64, REGISTERS = 512, N4_ORDER = 0x0500, N4_DOORS = 0x80 };

static modbus_t *line;
static modbus_mapping_t *board;
static bool is_quiet;

static int fail(const char *what)
{
    fprintf(stderr, "libmodbus_server: %s: %s\n", what, modbus_strerror(errno));
    return 1;
}

/* What an order did to the doors; its reply has left already. */
static void note(int function, int address, int value)
{
    bool is_on = function == 5 ? value != 0 : value == 1 || value == N4_ORDER || value == 0x0100;
    if (is_on && address < BITS) board->tab_input_bits[address] = 1;
    if (value == N4_ORDER && address > 0 && N4_DOORS + address < REGISTERS) board->tab_registers[N4_DOORS + address] = 0;
    if (is_quiet) return;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("{\"event\":\"write\",\"at\":%ld.%09ld,\"coil\":%d,\"value\":%d,\"on\":%s}\n", (long)now.tv_sec, now.tv_nsec,
           address, value, is_on ? "true" : "false");
}

/* Serves one request; false where the connection has ended. */
static bool serve(int handle)
{
    uint8_t frame[MODBUS_MAX_ADU_LENGTH];
    modbus_set_socket(line, handle);
    int length = modbus_receive(line, frame);
    if (length == 0 || (length < 0 && errno > MODBUS_ENOBASE)) return true; /* for another unit, or spoilt */
    if (length < 0) return false;
    const uint8_t *request = frame + modbus_get_header_length(line);
    int function = request[0], address = request[1] << 8 | request[2], value = request[3] << 8 | request[4];
    int sent = modbus_reply(line, frame, length, board);
    /* The function of the reply is not told apart from an exception's but by its length: an order comes back as long as it was. */
    if ((function == 5 || function == 6) && sent == length) note(function, address, value);
    return sent >= 0;
}

static int open_terminal(const char *link, int *slave)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (master < 0 || grantpt(master) || unlockpt(master)) return -1;
    /* Held open, so that the terminal outlives whoever opens and closes it. */
    *slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    struct termios raw;
    if (*slave < 0 || tcgetattr(*slave, &raw)) return -1;
    cfmakeraw(&raw);
    if (tcsetattr(*slave, TCSANOW, &raw)) return -1;
    unlink(link);
    return symlink(ptsname(master), link) ? -1 : master;
}

int main(int count, char **words)
{
    is_quiet = count > 3 && strcmp(words[count - 1], "quiet") == 0;
    bool is_tcp = count > 2 && strcmp(words[1], "tcp") == 0;
    if (!is_tcp && (count < 4 || strcmp(words[1], "pty") != 0)) {
        fprintf(stderr, "usage: libmodbus_server tcp PORT [quiet] | pty LINK UNIT [quiet]\n");
        return 64;
    }
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    sigprocmask(SIG_BLOCK, &signals, NULL);

    struct pollfd files[2 + CLIENTS] = {{.fd = signalfd(-1, &signals, SFD_CLOEXEC), .events = POLLIN}};
    int used = 1, listener = -1, slave = -1;
    board = modbus_mapping_new(BITS, BITS, REGISTERS, 0);
    if (!board) return fail("mapping");
    for (int door = 1; door <= 16; door++) board->tab_registers[N4_DOORS + door] = 1;
    if (is_tcp) {
        line = modbus_new_tcp("127.0.0.1", atoi(words[2]));
        listener = line ? modbus_tcp_listen(line, CLIENTS) : -1;
        struct sockaddr_in where;
        socklen_t size = sizeof where;
        if (listener < 0 || getsockname(listener, (struct sockaddr *)&where, &size)) return fail(words[2]);
        files[used++] = (struct pollfd){.fd = listener, .events = POLLIN};
        printf("listening %d\n", ntohs(where.sin_port));
    } else {
        int master = open_terminal(words[2], &slave);
        line = modbus_new_rtu(words[2], 19200, 'N', 8, 1);
        if (master < 0 || !line || modbus_set_slave(line, atoi(words[3]))) return fail(words[2]);
        files[used++] = (struct pollfd){.fd = master, .events = POLLIN};
        printf("listening %s\n", words[2]);
    }
    for (;;) {
        if (poll(files, used, -1) < 0) return fail("poll");
        if (files[0].revents) {
            struct signalfd_siginfo what;
            if (read(files[0].fd, &what, sizeof what) != sizeof what || what.ssi_signo != SIGUSR1) break;
            printf("{\"event\":\"mark\"}\n");
            continue;
        }
        for (int index = used - 1; index > 0; index--) {
            if (!files[index].revents || files[index].fd == listener) continue;
            if (!serve(files[index].fd)) {
                if (!is_tcp) return fail("terminal");
                close(files[index].fd);
                files[index] = files[--used];
            }
        }
        if (is_tcp && files[1].revents && used < 2 + CLIENTS) {
            int client = modbus_tcp_accept(line, &listener);
            if (client >= 0) files[used++] = (struct pollfd){.fd = client, .events = POLLIN};
        }
    }
    if (!is_tcp) unlink(words[2]);
    if (slave >= 0) close(slave);
    modbus_mapping_free(board);
    modbus_free(line);
    return 0;
}
