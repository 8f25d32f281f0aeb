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

        package init(
            device: String, baud: Int, parity: Parity, stopBits: Int, direction: DirectionControl
        ) {
            self.device = device
            self.baud = baud
            self.parity = parity
            self.stopBits = stopBits
            self.direction = direction
        }
    }

    package enum Transport: Sendable, Equatable {
        case tcp(host: String, port: Int)
        case serial(Serial)
    }

    /// A closed list: libmodbus, for one, silently falls back to 9600 for a rate it does not know.
    package static let bauds = [1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200]

    package let transport: Transport
    /// How long a board may take to answer.
    package let response: Duration
    /// Pause between an answer and the next request, on top of what the line itself needs. A coil that is on does not wait
    /// for it.
    package let spacing: Duration
    /// How long a TCP connection may take to come about.
    package let connect: Duration

    /// The rate of the line behind a TCP endpoint that hands bytes through; nil where the endpoint speaks for itself.
    package let lineBaud: Int?

    /// What differs from driver to driver.
    package struct Defaults: Sendable {
        /// The word for a serial line under `transport`.
        package let serialWord: String
        /// The TCP port where none is said; nil where one has to be.
        package let port: Int?
        /// The rate where none is said.
        package let baud: Int
        /// Whether a TCP endpoint hands the bytes of a serial line through.
        package let isRaw: Bool

        package init(serialWord: String, port: Int?, baud: Int, isRaw: Bool) {
            self.serialWord = serialWord
            self.port = port
            self.baud = baud
            self.isRaw = isRaw
        }
    }

    package init(_ options: Options, _ defaults: Defaults) throws(LockerError) {
        switch try options.string("transport") {
        case "tcp":
            let host = try options.string("host")
            guard !host.isEmpty, !host.utf8.contains(0) else {
                throw LockerError(.invalidRequest, "link.host is empty; want a name or an address")
            }
            let port = try options.optionalInteger("port", in: 1...65_535) ?? defaults.port
            guard let port else {
                throw LockerError(.invalidRequest, "link.port is missing; want a TCP port")
            }
            transport = .tcp(host: host, port: port)
            lineBaud = defaults.isRaw ? try Serial.baud(options, defaults.baud) : nil
        case defaults.serialWord:
            transport = .serial(try Serial(options, defaults.baud))
            lineBaud = nil
        case let other:
            throw LockerError(
                .invalidRequest,
                "link.transport is \"\(other)\"; want tcp or \(defaults.serialWord)")
        }
        response = .milliseconds(
            try options.optionalInteger("response_ms", in: BusLimits.response) ?? 500)
        spacing = .milliseconds(
            try options.optionalInteger("spacing_ms", in: BusLimits.spacing) ?? 0)
        connect = .milliseconds(
            try options.optionalInteger("connect_ms", in: BusLimits.connect) ?? 1000)
    }

    /// The least silence between two frames, spacing not included. Holds after time-outs too.
    ///
    /// On a serial line 3.5 characters (a character counts 11 bits), fixed to 1.75 ms above 19200 baud, plus 1 ms that
    /// schedulers and adapters eat. Two boards at 9600 baud without any gap: the second one never answered; with 5 ms each did,
    /// 282 times in a row.
    package var frameGap: Duration {
        guard let baud else { return .zero }
        let silence = baud > 19_200 ? 1750 : (3.5 * 11 * 1_000_000 / Double(baud))
        return .microseconds(Int((silence + 1000).rounded(.up)))
    }

    private var baud: Int? {
        guard case .serial(let serial) = transport else { return lineBaud }
        return serial.baud
    }

    /// The endpoint as people write it.
    package var endpoint: String {
        switch transport {
        case .tcp(let host, let port): host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .serial(let serial): serial.device
        }
    }
}

extension LinkSettings.Serial {
    fileprivate init(_ options: Options, _ usualBaud: Int) throws(LockerError) {
        device = try options.string("device")
        guard device.hasPrefix("/"), !device.utf8.contains(0) else {
            throw LockerError(
                .invalidRequest, "link.device is \"\(device)\"; want a path like /dev/ttyUSB0")
        }
        baud = try Self.baud(options, usualBaud)
        parity = try options.choice("parity") ?? .none
        stopBits = try options.optionalInteger("stop_bits", in: 1...2) ?? 1
        direction = try options.choice("rs485") ?? .auto
    }

    fileprivate static func baud(_ options: Options, _ usual: Int) throws(LockerError) -> Int {
        let baud = try options.optionalInteger("baud") ?? usual
        guard LinkSettings.bauds.contains(baud) else {
            let known = LinkSettings.bauds.map(String.init).joined(separator: ", ")
            throw LockerError(.invalidRequest, "link.baud is \(baud); want one of \(known)")
        }
        return baud
    }
}
