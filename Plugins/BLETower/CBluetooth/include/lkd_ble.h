#ifndef LKD_BLE_H
#define LKD_BLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The Bluetooth sockets of the kernel, as far as this project needs them: what Swift cannot say, as the socket addresses and options are
 * of <bluetooth/…>. Only these headers are used, and nothing of the library. Descriptors are non-blocking and closed on exec. Calls
 * return a descriptor, a count or 0 where they worked, and -errno where they did not.
 *
 * Addresses are six bytes in the order in which they are written, most significant first. */

enum { LKD_BLE_ADDRESS = 6, LKD_BLE_ADAPTERS = 16 };

struct lkd_ble_adapter {
    /* As in hci0. */
    uint16_t index;
    bool is_up;
    uint8_t address[LKD_BLE_ADDRESS];
};

/* The adapters of this machine, at most `most` of them. Takes no rights. */
int lkd_ble_adapters(struct lkd_ble_adapter *adapters, int most);

/* Switches an adapter on. Takes CAP_NET_ADMIN. */
int lkd_ble_power_on(uint16_t index);

/* Begins to connect to the attribute protocol of a peer, from the adapter with that address, or from any where it is NULL. The descriptor is
 * writable when that has worked or failed, see lkd_ble_connected. Takes no rights. */
int lkd_ble_connect(const uint8_t *adapter, const uint8_t *peer, bool is_random);

/* 0 where a connection has come about, -errno why not. */
int lkd_ble_connected(int descriptor);

/* The kernel's management interface. Takes CAP_NET_ADMIN for all but looking. */
int lkd_ble_management(void);

/* The raw interface of an adapter, for commands of the LE controller group and what they lead to. Takes CAP_NET_RAW. */
int lkd_ble_raw(uint16_t index);

#endif
