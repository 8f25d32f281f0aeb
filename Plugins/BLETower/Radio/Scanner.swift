import CBluetooth
import Dispatch
import Glibc

/// An adapter of this machine.
package struct Adapter: Sendable, Equatable {
    /// As in hci0.
    package let index: UInt16
    package let isUp: Bool
    package let address: BLEAddress

    package var name: String { "hci\(index)" }

    /// All of them; none where the kernel has no Bluetooth. It takes no rights.
    package static func all() throws(BLEFault) -> [Adapter] {
        var list = [lkd_ble_adapter](
            repeating: lkd_ble_adapter(), count: Int(LKD_BLE_ADAPTERS))
        let count = lkd_ble_adapters(&list, Int32(list.count))
        guard count >= 0 else { throw BLEFault(count, "looking for adapters") }
        return list.prefix(Int(count)).compactMap { found in
            let bytes = withUnsafeBytes(of: found.address) { Array($0) }
            return BLEAddress(bytes, .publicAddress).map {
                Adapter(index: found.index, isUp: found.is_up, address: $0)
            }
        }
    }

    /// Switches it on, without waiting: a controller that hangs keeps whoever does that for ten seconds. Takes CAP_NET_ADMIN; without it
    /// nothing happens.
    package func powerOnSoon() {
        let index = index
        Self.switching.async { _ = lkd_ble_power_on(index) }
    }

    private static let switching = DispatchQueue(label: "lockerd.adapter")
}

/// Listens for devices that advertise, by whichever interface of the kernel the rights of this process allow.
package enum Scanner {
    /// Listens until `end`, and calls `heard` for each report; a device comes again with each of its reports.
    ///
    /// - Returns: how it listened, for people.
    package static func listen(
        on adapter: Adapter, until end: ContinuousClock.Instant, heard: (Heard) -> Void
    ) throws(BLEFault) -> String {
        do throws(BLEFault) {
            try manage(adapter, until: end, heard)
            return "management interface"
        } catch .notPermitted {
            return try scanRaw(adapter, until: end, heard)
        }
    }

    // MARK: By the management interface

    private static let setPowered: UInt16 = 0x0005
    private static let setLowEnergy: UInt16 = 0x000D
    private static let startDiscovery: UInt16 = 0x0023
    private static let stopDiscovery: UInt16 = 0x0024
    /// LE devices with public and with random addresses.
    private static let lowEnergyDevices: UInt8 = 0x06
    /// How long a command may take.
    private static let commandLimit: Duration = .seconds(5)
    /// Statuses of the interface.
    private static let busy: UInt8 = 0x0A
    private static let denied: UInt8 = 0x14

    private static func manage(
        _ adapter: Adapter, until end: ContinuousClock.Instant, _ heard: (Heard) -> Void
    ) throws(BLEFault) {
        let descriptor = lkd_ble_management()
        guard descriptor >= 0 else { throw BLEFault(descriptor, "the management interface") }
        defer { close(descriptor) }
        func run(_ code: UInt16, _ parameters: [UInt8]) throws(BLEFault) {
            try order(code, parameters, adapter, descriptor, heard)
        }
        if !adapter.isUp { try run(setPowered, [1]) }
        try run(setLowEnergy, [1])
        try run(startDiscovery, [lowEnergyDevices])
        defer { try? run(stopDiscovery, [lowEnergyDevices]) }
        while let bytes = next(descriptor, until: end) {
            guard let event = Reports.event(bytes), event.adapter == adapter.index else { continue }
            switch event.code {
            case Reports.deviceFound: if let found = Reports.found(event.body) { heard(found) }
            case Reports.discovering where event.body.last == 0 && ContinuousClock.now < end:
                // The kernel ends it by itself after ten seconds.
                try run(startDiscovery, [lowEnergyDevices])
            default: break
            }
        }
    }

    private static func order(
        _ code: UInt16, _ parameters: [UInt8], _ adapter: Adapter, _ descriptor: Int32,
        _ heard: (Heard) -> Void
    ) throws(BLEFault) {
        let message = Reports.command(code, adapter.index, parameters)
        // A command that is not permitted counts as none written, and is answered all the same.
        guard write(descriptor, message, message.count) >= 0 else {
            throw BLEFault(-errno, "the management interface")
        }
        let end = ContinuousClock.now + commandLimit
        while let bytes = next(descriptor, until: end) {
            guard let event = Reports.event(bytes), event.adapter == adapter.index else { continue }
            if event.code == Reports.deviceFound, let found = Reports.found(event.body) {
                heard(found)
            }
            guard [Reports.commandComplete, Reports.commandStatus].contains(event.code),
                event.body.count >= 3, number(event.body, at: 0) == code
            else { continue }
            switch event.body[2] {
            case 0: return
            case denied: throw .notPermitted("the management interface: permission denied")
            case busy:
                throw .lost("\(adapter.name) is busy: another program is looking for devices")
            case let status:
                throw .lost("\(adapter.name): command \(code) failed with status \(status)")
            }
        }
        throw .late("\(adapter.name) does not answer")
    }

    // MARK: By the raw interface

    private static let readFeatures: UInt16 = 0x0003
    private static let setParameters: UInt16 = 0x000B
    private static let setEnable: UInt16 = 0x000C
    private static let setExtendedParameters: UInt16 = 0x0041
    private static let setExtendedEnable: UInt16 = 0x0042

    private static let rawRight = "listening takes the right CAP_NET_RAW or CAP_NET_ADMIN"

    /// Active, so that scan responses come, which have the tower's number; 10 ms of listening every 10 ms; own address public; no filter.
    private static let parameters: [UInt8] = [1, 0x10, 0, 0x10, 0, 0, 0]
    private static let extendedParameters: [UInt8] = [0, 0, 1, 1, 0x10, 0, 0x10, 0]

    private static func scanRaw(
        _ adapter: Adapter, until end: ContinuousClock.Instant, _ heard: (Heard) -> Void
    ) throws(BLEFault) -> String {
        let descriptor = lkd_ble_raw(adapter.index)
        guard descriptor >= 0 else {
            throw BLEFault(descriptor, rawRight)
        }
        defer { close(descriptor) }
        guard adapter.isUp else {
            throw .noAdapter(
                "\(adapter.name) is off, and switching it on takes the right CAP_NET_ADMIN")
        }
        // A controller that has both kinds of commands takes one kind only until it is reset, and the kernel has begun with the newer.
        let isExtended = try hasExtendedAdvertising(descriptor)
        let status =
            isExtended
            ? try ask(setExtendedParameters, extendedParameters, descriptor)
            : try ask(setParameters, parameters, descriptor)
        guard status == 0 else {
            throw .lost("\(adapter.name) does not listen: status \(status)")
        }
        func enable(_ isOn: UInt8) throws(BLEFault) -> UInt8 {
            isExtended
                ? try ask(setExtendedEnable, [isOn, 0, 0, 0, 0, 0], descriptor)
                : try ask(setEnable, [isOn, 0], descriptor)
        }
        guard case let status = try enable(1), status == 0 else {
            throw .lost("\(adapter.name) does not listen: somebody else may be listening")
        }
        defer { _ = try? enable(0) }
        while let packet = next(descriptor, until: end) {
            for report in Reports.reports(packet) { heard(report) }
        }
        return isExtended ? "raw interface, extended" : "raw interface, legacy"
    }

    private static func hasExtendedAdvertising(_ descriptor: Int32) throws(BLEFault) -> Bool {
        let answer = try answer(to: readFeatures, [], descriptor)
        // Status, then eight bytes; it is bit 12 (Bluetooth Core 5.4, volume 6, part B, 4.6).
        return answer.count >= 9 && answer[8] & 0x10 != 0
    }

    /// The status.
    private static func ask(
        _ code: UInt16, _ parameters: [UInt8], _ descriptor: Int32
    ) throws(BLEFault) -> UInt8 {
        let answer = try answer(to: code, parameters, descriptor)
        return Reports.status(answer, of: code) ?? 0xFF
    }

    private static func answer(
        to code: UInt16, _ parameters: [UInt8], _ descriptor: Int32
    ) throws(BLEFault) -> [UInt8] {
        let packet = Reports.leCommand(code, parameters)
        guard write(descriptor, packet, packet.count) == packet.count else {
            throw BLEFault(-errno, rawRight)
        }
        let end = ContinuousClock.now + commandLimit
        while let answer = next(descriptor, until: end) {
            if Reports.status(answer, of: code) != nil { return answer }
        }
        throw .late("the adapter does not answer")
    }

    private static func next(_ descriptor: Int32, until end: ContinuousClock.Instant) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: 2048)
        while wait(descriptor, for: Int16(POLLIN), until: end) {
            let count = read(descriptor, &bytes, bytes.count)
            if count > 0 { return Array(bytes.prefix(count)) }
            guard count < 0, errno == EAGAIN || errno == EINTR else { return nil }
        }
        return nil
    }
}
