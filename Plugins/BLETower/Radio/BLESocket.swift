import CBluetooth
import Glibc

/// Carries messages of the attribute protocol to one device and back.
package protocol ATTChannel: AnyObject {
    /// Sends one message; waits until it is taken.
    func send(_ message: [UInt8], until end: ContinuousClock.Instant) throws(BLEFault)
    /// The next message; ``BLEFault/late(_:)`` where none has come by then.
    func receive(until end: ContinuousClock.Instant) throws(BLEFault) -> [UInt8]
}

/// A connection to a device, through the kernel. It needs no rights.
///
/// Calls block, so they belong on a thread of their own. Only ``cut()`` may come from any other.
package final class BLESocket: ATTChannel, Sendable {
    private let descriptor: Int32
    private let address: BLEAddress

    /// Begins to connect; ``finish(until:)`` has to follow.
    package init(_ address: BLEAddress, from adapter: BLEAddress? = nil) throws(BLEFault) {
        let isRandom = address.kind == .random
        let made =
            adapter.map { lkd_ble_connect($0.bytes, address.bytes, isRandom) }
            ?? lkd_ble_connect(nil, address.bytes, isRandom)
        guard made >= 0 else { throw BLEFault(made, "connecting to \(address)") }
        descriptor = made
        self.address = address
    }

    /// Waits for the connection, or gives up at `end`; then this is of no more use, and letting go of it ends the attempt.
    package func finish(until end: ContinuousClock.Instant) throws(BLEFault) {
        guard wait(descriptor, for: Int16(POLLOUT), until: end) else {
            throw .late("\(address) is not in reach: no connection came about in time")
        }
        let result = lkd_ble_connected(descriptor)
        guard result == 0 else { throw BLEFault(result, "connecting to \(address)") }
    }

    deinit { close(descriptor) }

    /// Ends the connection for whoever uses it at the moment.
    package func cut() { shutdown(descriptor, Int32(SHUT_RDWR)) }

    /// Whether the other side has gone since the last call.
    package var isAlive: Bool {
        var polled = pollfd(fd: descriptor, events: 0, revents: 0)
        return poll(&polled, 1, 0) == 0
    }

    package func send(_ message: [UInt8], until end: ContinuousClock.Instant) throws(BLEFault) {
        while true {
            let sent = Glibc.send(descriptor, message, message.count, Int32(MSG_NOSIGNAL))
            if sent == message.count { return }
            guard sent < 0, errno == EAGAIN || errno == EINTR else {
                throw BLEFault(-errno, "writing to \(address)")
            }
            guard wait(descriptor, for: Int16(POLLOUT), until: end) else {
                throw .late("\(address) takes nothing")
            }
        }
    }

    package func receive(until end: ContinuousClock.Instant) throws(BLEFault) -> [UInt8] {
        var message = [UInt8](repeating: 0, count: 1024)
        // A device that never stops talking does not keep anybody beyond that.
        while ContinuousClock.now < end {
            let count = recv(descriptor, &message, message.count, 0)
            if count > 0 { return Array(message.prefix(count)) }
            guard count < 0 else { throw .lost("\(address) has hung up") }
            guard errno == EAGAIN || errno == EINTR else {
                throw BLEFault(-errno, "reading from \(address)")
            }
            guard wait(descriptor, for: Int16(POLLIN), until: end) else {
                throw .late("\(address) says nothing")
            }
        }
        throw .late("\(address) has not said in time what it was asked")
    }
}

/// Waits for a descriptor; false where `end` came first.
func wait(_ descriptor: Int32, for events: Int16, until end: ContinuousClock.Instant) -> Bool {
    while true {
        let left = ContinuousClock.now.duration(to: end)
        guard left > .zero else { return false }
        var polled = pollfd(fd: descriptor, events: events, revents: 0)
        let milliseconds =
            left.components.seconds * 1000
            + left.components.attoseconds / 1_000_000_000_000_000 + 1
        let count = poll(&polled, 1, Int32(clamping: milliseconds))
        if count > 0 { return true }
        if count < 0, errno != EINTR { return false }
    }
}
