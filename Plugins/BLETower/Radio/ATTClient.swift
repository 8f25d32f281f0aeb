/// The client of a device's attributes: one request at a time, and what the device notifies meanwhile is kept.
///
/// Calls block as those of its channel do.
package final class ATTClient {
    /// Notifications that nobody has taken yet. A device that sends more without being asked is cut off.
    static let mostNotifications = 256

    private let channel: any ATTChannel
    private var notifications: [(handle: UInt16, value: [UInt8])] = []
    /// The longest message that both sides take.
    package private(set) var mtu = ATT.smallestMTU

    package init(_ channel: any ATTChannel) { self.channel = channel }

    /// The longest value of one write without response, and of one notification.
    package var longestWrite: Int { mtu - 3 }

    /// Agrees on how long messages may be.
    package func exchangeMTU(until end: ContinuousClock.Instant) throws(BLEFault) {
        do throws(BLEFault) {
            let answer = try ask(.exchangeMTU(UInt16(ATT.wantedMTU)), until: end)
            guard answer.count == 2 else {
                throw .nonsense("an answer about the MTU of \(answer.count) bytes")
            }
            mtu = min(max(Int(number(answer, at: 0)), ATT.smallestMTU), ATT.wantedMTU)
        } catch .refused {
            // Devices that know nothing of it take the smallest.
        }
    }

    /// The characteristics of a service; nil where the device does not have it.
    package func characteristics(
        of service: UUID128, until end: ContinuousClock.Instant
    ) throws(BLEFault) -> [Characteristic]? {
        let found: [UInt8]
        do throws(BLEFault) {
            found = try ask(.findService(service, in: 1...UInt16.max), until: end)
        } catch .refused(_, code: Self.notFound) {
            return nil
        }
        guard found.count >= 4, found.count.isMultiple(of: 4) else {
            throw .nonsense("services of \(found.count) bytes")
        }
        let (first, last) = (number(found, at: 0), number(found, at: 2))
        guard first > 0, first <= last else {
            throw .nonsense("a service from \(first) to \(last)")
        }
        return try all(from: first, to: last) { range throws(BLEFault) in
            guard
                let list = Characteristic.list(try ask(.readCharacteristics(in: range), until: end))
            else { throw .nonsense("a list of characteristics") }
            return (list, list.map(\.declaration).max() ?? 0)
        }
    }

    /// The handle of a characteristic's client configuration, which lies between its value and the next characteristic; nil where it has none.
    package func configuration(
        of characteristic: Characteristic, before end: UInt16,
        until deadline: ContinuousClock.Instant
    ) throws(BLEFault) -> UInt16? {
        guard characteristic.value < end else { return nil }
        let descriptors = try all(from: characteristic.value + 1, to: end) {
            range throws(BLEFault) -> ([(UInt16, UInt16)], UInt16) in
            let answer = try ask(.findInformation(range), until: deadline)
            // Format 1: handles with UUIDs of 16 bits; of 128 bits are none that this client looks for.
            let width = answer.first == 1 ? 4 : 18
            guard answer.count > 1, (answer.count - 1).isMultiple(of: width) else {
                throw .nonsense("a list of descriptors")
            }
            let list = stride(from: 1, to: answer.count, by: width).map {
                (number(answer, at: $0), width == 4 ? number(answer, at: $0 + 2) : 0)
            }
            return (list, list.map(\.0).max() ?? 0)
        }
        return descriptors.first { $0.1 == ATT.clientConfiguration }?.0
    }

    /// Gathers answers to a question about a range until nothing is left of it.
    private func all<Found>(
        from first: UInt16, to last: UInt16,
        _ question: (ClosedRange<UInt16>) throws(BLEFault) -> ([Found], UInt16)
    ) throws(BLEFault) -> [Found] {
        var found: [Found] = []
        var next = first
        while true {
            do throws(BLEFault) {
                let (list, highest) = try question(next...last)
                found += list
                guard highest >= next else { throw .nonsense("a list that goes backwards") }
                guard highest < last else { return found }
                next = highest + 1
            } catch .refused(_, code: Self.notFound) {
                return found
            }
        }
    }

    /// A value, in as many pieces as it takes.
    package func read(
        _ handle: UInt16, until end: ContinuousClock.Instant
    ) throws(BLEFault) -> [UInt8] {
        var value = try ask(.read(handle), until: end)
        var piece = value.count
        while piece == mtu - 1, value.count < ATT.longestValue {
            let more: [UInt8]
            do throws(BLEFault) {
                more = try ask(.readBlob(handle, offset: UInt16(value.count)), until: end)
            } catch .refused {
                // Short values may not be read in pieces, and this one ended with the last.
                return value
            }
            piece = more.count
            value += more
        }
        return value
    }

    /// Asks for the notifications of a characteristic.
    package func subscribe(
        _ configuration: UInt16, until end: ContinuousClock.Instant
    ) throws(BLEFault) {
        try write([1, 0], to: configuration, until: end)
    }

    /// Writes with an acknowledgement.
    package func write(
        _ value: [UInt8], to handle: UInt16, until end: ContinuousClock.Instant
    ) throws(BLEFault) {
        _ = try ask(.write(handle, value), until: end)
    }

    /// Writes without one, in as many pieces as it takes.
    package func send(
        _ value: [UInt8], to handle: UInt16, until end: ContinuousClock.Instant
    ) throws(BLEFault) {
        for start in stride(from: 0, to: value.count, by: longestWrite) {
            let piece = Array(value[start..<min(start + longestWrite, value.count)])
            try channel.send(ATT.write(piece, to: handle), until: end)
        }
    }

    /// The next notification of that handle.
    package func notification(
        of handle: UInt16, until end: ContinuousClock.Instant
    ) throws(BLEFault) -> [UInt8] {
        while true {
            if let place = notifications.firstIndex(where: { $0.handle == handle }) {
                return notifications.remove(at: place).value
            }
            notifications = []
            _ = try take(until: end)
        }
    }

    /// Forgets what was notified: the answers to something else.
    package func forgetNotifications() { notifications = [] }

    /// ATTRIBUTE NOT FOUND and REQUEST NOT SUPPORTED (Bluetooth Core 5.4, volume 3, part F, 3.4.1.1).
    private static let notFound: UInt8 = 0x0A
    private static let notSupported: UInt8 = 0x06

    private func ask(
        _ request: ATTRequest, until end: ContinuousClock.Instant
    ) throws(BLEFault) -> [UInt8] {
        try channel.send(request.bytes, until: end)
        let code = request.bytes[0]
        while true {
            guard let incoming = try take(until: end) else { continue }
            switch incoming {
            case .answer(request.answerCode, let rest): return rest
            case .error(code, _, let why): throw .refused("a request (\(code))", code: why)
            default: throw .nonsense("the answer to another request")
            }
        }
    }

    /// The next answer; nil where something else came, which is taken care of.
    private func take(until end: ContinuousClock.Instant) throws(BLEFault) -> ATTIncoming? {
        let message = try channel.receive(until: end)
        guard message.count <= ATT.wantedMTU, let incoming = ATTIncoming(message) else {
            throw .nonsense("a message of \(message.count) bytes")
        }
        switch incoming {
        case .notification(let handle, let value):
            guard notifications.count < Self.mostNotifications else {
                throw .nonsense("\(Self.mostNotifications) notifications that nobody has asked for")
            }
            notifications.append((handle, value))
        case .indication: try channel.send([ATT.confirmation], until: end)
        case .request(0x02, _):
            // The other side may agree on it first.
            try channel.send([0x03] + pair(UInt16(ATT.wantedMTU)), until: end)
        case .request(let code, _):
            // There are no attributes here.
            try channel.send([ATT.errorCode, code, 0, 0, Self.notSupported], until: end)
        case .answer, .error: return incoming
        }
        return nil
    }
}
