package import LockerKit

/// The `[link]` table, checked.
package struct LinkSettings: Sendable, Equatable {
    package enum Parity: String, Sendable, CaseIterable {
        case none, even, odd
    }

    /// Who switches an RS-485 transceiver between sending and receiving.
    package enum DirectionControl: String, Sendable, CaseIterable {
        /// The kernel where the port offers it, otherwise the adapter by itself.
        case auto
        /// The kernel; a port that does not offer it is worth a warning.
        case kernel
        /// The adapter by itself; the port is not asked.
        case none
    }

    package struct Serial: Sendable, Equatable {
        package let device: String
        package let baud: Int
        package let parity: Parity
        package let stopBits: Int
        package let direction: DirectionControl
    }

    package enum Transport: Sendable, Equatable {
        case tcp(host: String, port: Int)
        case rtu(Serial)
    }

    /// libmodbus silently falls back to 9600 for a rate it does not know, so nothing else may reach it.
    static let bauds = [1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200]

    package let transport: Transport
    /// How long a board may take to answer.
    package let response: Duration
    /// Pause between an answer and the next request, on top of what the line itself needs. A coil that is on does not wait
    /// for it.
    package let spacing: Duration
    /// How long a TCP connection may take to come about.
    package let connect: Duration

    package init(_ options: Options) throws(LockerError) {
        switch try options.string("transport") {
        case "tcp":
            let host = try options.string("host")
            guard !host.isEmpty, !host.utf8.contains(0) else {
                throw LockerError(.invalidRequest, "link.host is empty; want a name or an address")
            }
            transport = .tcp(
                host: host, port: try options.optionalInteger("port", in: 1...65_535) ?? 502)
        case "rtu": transport = .rtu(try Serial(options))
        case let other:
            throw LockerError(.invalidRequest, "link.transport is \"\(other)\"; want tcp or rtu")
        }
        response = .milliseconds(
            try options.optionalInteger("response_ms", in: Limits.response) ?? 500)
        spacing = .milliseconds(try options.optionalInteger("spacing_ms", in: Limits.spacing) ?? 0)
        connect = .milliseconds(
            try options.optionalInteger("connect_ms", in: Limits.connect) ?? 1000)
    }

    /// The least silence between two frames, spacing not included. Holds after time-outs too.
    ///
    /// On a serial line 3.5 characters (a character counts 11 bits), fixed to 1.75 ms above 19200 baud, plus 1 ms that
    /// schedulers and adapters eat, rounded up. Two boards at 9600 baud without any gap: the second one never answered.
    package var frameGap: Duration {
        guard case .rtu(let serial) = transport else { return .zero }
        let silence =
            serial.baud > 19_200 ? 1750 : (3.5 * 11 * 1_000_000 / Double(serial.baud))
        return .milliseconds(Int(((silence + 1000) / 1000).rounded(.up)))
    }

    /// The endpoint as people write it.
    package var endpoint: String {
        switch transport {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .rtu(let serial): serial.device
        }
    }
}

extension LinkSettings.Serial {
    fileprivate init(_ options: Options) throws(LockerError) {
        device = try options.string("device")
        guard device.hasPrefix("/"), !device.utf8.contains(0) else {
            throw LockerError(
                .invalidRequest, "link.device is \"\(device)\"; want a path like /dev/ttyUSB0")
        }
        baud = try options.optionalInteger("baud") ?? 9600
        guard LinkSettings.bauds.contains(baud) else {
            let known = LinkSettings.bauds.map(String.init).joined(separator: ", ")
            throw LockerError(.invalidRequest, "link.baud is \(baud); want one of \(known)")
        }
        parity = try options.choice("parity") ?? .none
        stopBits = try options.optionalInteger("stop_bits", in: 1...2) ?? 1
        direction = try options.choice("rs485") ?? .auto
    }
}

extension Options {
    /// The word under `key` as one of a closed list; nil where it is absent.
    func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: String
    ) throws(LockerError) -> Choice? where Choice.RawValue == String {
        guard let word = try optionalString(key) else { return nil }
        guard let choice = Choice(rawValue: word) else {
            let known = Choice.allCases.map(\.rawValue).joined(separator: ", ")
            throw LockerError(.invalidRequest, "\(key) is \"\(word)\"; want one of \(known)")
        }
        return choice
    }
}
