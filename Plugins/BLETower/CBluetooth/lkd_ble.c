#include "lkd_ble.h"

#include <bluetooth/bluetooth.h>
#include <bluetooth/hci.h>
#include <bluetooth/l2cap.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* The channel that the attribute protocol has on every LE connection (Bluetooth Core 5.4, volume 3, part A, 2.1). */
enum { ATTRIBUTE_CHANNEL = 4 };

static int new_socket(int type, int protocol) {
    int made = socket(AF_BLUETOOTH, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
    return made < 0 ? -errno : made;
}

static int failed(int descriptor) {
    int why = errno;
    close(descriptor);
    return -why;
}

/* The kernel has the least significant byte first. */
static void turn(bdaddr_t *to, const uint8_t *from) {
    for (int index = 0; index < LKD_BLE_ADDRESS; index++) to->b[index] = from[LKD_BLE_ADDRESS - 1 - index];
}

int lkd_ble_adapters(struct lkd_ble_adapter *adapters, int most) {
    int control = new_socket(SOCK_RAW, BTPROTO_HCI);
    if (control < 0) return control;
    struct hci_dev_list_req *list = calloc(1, sizeof *list + HCI_MAX_DEV * sizeof *list->dev_req);
    if (list == NULL) {
        close(control);
        return -ENOMEM;
    }
    list->dev_num = HCI_MAX_DEV;
    if (ioctl(control, HCIGETDEVLIST, list) < 0) {
        int result = failed(control);
        free(list);
        return result;
    }
    int count = 0;
    for (int index = 0; index < list->dev_num && count < most; index++) {
        struct hci_dev_info info = {.dev_id = list->dev_req[index].dev_id};
        if (ioctl(control, HCIGETDEVINFO, &info) < 0) continue;
        struct lkd_ble_adapter *found = &adapters[count++];
        found->index = info.dev_id;
        found->is_up = (info.flags & (1u << HCI_UP)) != 0;
        for (int byte = 0; byte < LKD_BLE_ADDRESS; byte++)
            found->address[byte] = info.bdaddr.b[LKD_BLE_ADDRESS - 1 - byte];
    }
    free(list);
    close(control);
    return count;
}

int lkd_ble_power_on(uint16_t index) {
    int control = new_socket(SOCK_RAW, BTPROTO_HCI);
    if (control < 0) return control;
    int result = ioctl(control, HCIDEVUP, index) < 0 && errno != EALREADY ? -errno : 0;
    close(control);
    return result;
}

int lkd_ble_connect(const uint8_t *adapter, const uint8_t *peer, bool is_random) {
    int made = new_socket(SOCK_SEQPACKET, BTPROTO_L2CAP);
    if (made < 0) return made;
    struct sockaddr_l2 here = {
        .l2_family = AF_BLUETOOTH, .l2_cid = htobs(ATTRIBUTE_CHANNEL), .l2_bdaddr_type = BDADDR_LE_PUBLIC};
    if (adapter != NULL) turn(&here.l2_bdaddr, adapter);
    if (bind(made, (struct sockaddr *)&here, sizeof here) < 0) return failed(made);
    /* What is said is sealed end to end, so the link needs no pairing. */
    struct bt_security security = {.level = BT_SECURITY_LOW};
    if (setsockopt(made, SOL_BLUETOOTH, BT_SECURITY, &security, sizeof security) < 0) return failed(made);
    struct sockaddr_l2 there = {
        .l2_family = AF_BLUETOOTH,
        .l2_cid = htobs(ATTRIBUTE_CHANNEL),
        .l2_bdaddr_type = is_random ? BDADDR_LE_RANDOM : BDADDR_LE_PUBLIC};
    turn(&there.l2_bdaddr, peer);
    if (connect(made, (struct sockaddr *)&there, sizeof there) < 0 && errno != EINPROGRESS) return failed(made);
    return made;
}

int lkd_ble_connected(int descriptor) {
    int why = 0;
    socklen_t length = sizeof why;
    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &why, &length) < 0) return -errno;
    return -why;
}

/* Neither channel is in the library's headers of all versions: 3 is HCI_CHANNEL_CONTROL, 0 HCI_CHANNEL_RAW. */
static int hci_channel(uint16_t index, unsigned short channel) {
    int made = new_socket(SOCK_RAW, BTPROTO_HCI);
    if (made < 0) return made;
    struct sockaddr_hci here = {.hci_family = AF_BLUETOOTH, .hci_dev = index, .hci_channel = channel};
    return bind(made, (struct sockaddr *)&here, sizeof here) < 0 ? failed(made) : made;
}

int lkd_ble_management(void) { return hci_channel(HCI_DEV_NONE, 3); }

int lkd_ble_raw(uint16_t index) {
    int made = hci_channel(index, 0);
    if (made < 0) return made;
    struct hci_filter filter = {
        .type_mask = 1u << HCI_EVENT_PKT,
        .event_mask = {(1u << EVT_CMD_COMPLETE) | (1u << EVT_CMD_STATUS), 1u << (EVT_LE_META_EVENT - 32)}};
    return setsockopt(made, SOL_HCI, HCI_FILTER, &filter, sizeof filter) < 0 ? failed(made) : made;
}
