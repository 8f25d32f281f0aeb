/* What an open costs at least: the same three exchanges by libmodbus alone, without a daemon.
 *
 *     bare_open DEVICE BAUD UNIT COUNT [order]
 *
 * Reads the doors, orders a pulse (flash on, as on Waveshare relay boards), reads the doors. With `order` it does nothing but
 * order a pulse, from a board that takes it in a register. Prints the milliseconds of each round as a JSON array.
 */
#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1e3 + time.tv_nsec / 1e6;
}

static int open_one(modbus_t *line, int unit, int lock, useconds_t gap)
{
    uint8_t doors[8], frame[MODBUS_MAX_ADU_LENGTH];
    uint8_t order[] = {(uint8_t)unit, 5, 2, (uint8_t)lock, 0, 1};
    int isWell = modbus_read_input_bits(line, 0, 8, doors) == 8;
    usleep(gap);
    isWell = isWell && modbus_send_raw_request(line, order, sizeof order) > 0
        && modbus_receive_confirmation(line, frame) > 0;
    usleep(gap);
    return isWell && modbus_read_input_bits(line, 0, 8, doors) == 8;
}

int main(int count, char **words)
{
    int is_order = count == 6 && strcmp(words[5], "order") == 0;
    if (count != 5 && !is_order) {
        fprintf(stderr, "usage: bare_open DEVICE BAUD UNIT COUNT [order]\n");
        return 64;
    }
    int baud = atoi(words[2]), unit = atoi(words[3]), rounds = atoi(words[4]);
    modbus_t *line = modbus_new_rtu(words[1], baud, 'N', 8, 1);
    if (!line || modbus_set_slave(line, unit) || modbus_connect(line)) {
        fprintf(stderr, "bare_open: %s: %s\n", words[1], modbus_strerror(errno));
        return 1;
    }
    modbus_set_byte_timeout(line, 0, 0);
    /* The silence between two frames, as the driver keeps it. */
    useconds_t gap = (baud > 19200 ? 1750 : 38500000 / baud) + 1000;
    printf("[");
    for (int round = 0; round < rounds; round++) {
        usleep(is_order ? 10000 : 400000);
        double began = now();
        if (is_order ? modbus_write_register(line, 1 + round % 8, 0x0500) != 1 : !open_one(line, unit, round % 8, gap)) {
            fprintf(stderr, "bare_open: %s\n", modbus_strerror(errno));
            return 1;
        }
        printf("%s%.3f", round ? "," : "", now() - began);
    }
    printf("]\n");
    modbus_close(line);
    modbus_free(line);
    return 0;
}
