package import LockerKit

/// A model of board as its profile file describes it.
package struct BoardProfile: Sendable, Equatable {
    /// Pulses that the board ends by itself: an order to an address of its own, with the length as its value.
    package struct Flash: Sendable, Equatable {
        /// The address for the first coil.
        package let first: Int
        /// What one unit of the value stands for.
        package let unit: Duration
        /// The highest value the board takes.
        package let highest: Int

        /// The value for a pulse: whole units within it, because a coil is on for at most its pulse; nil where it is
        /// shorter than one.
        package func value(for pulse: Duration) -> UInt16? {
            pulse < unit ? nil : UInt16(clamping: min(Int(pulse / unit), highest))
        }
    }

    /// Where the door sensors are.
    package struct Doors: Sendable, Equatable {
        package let function: ReadFunction
        /// The point of the first locker's sensor.
        package let first: Int
        /// The level of a sensor whose door is open.
        package let openLevel: Bool
    }

    /// The address of the first locker's coil.
    package let firstCoil: Int
    package let onValue: UInt16
    package let offValue: UInt16

    /// How a coil that is on reads back; nil where the orders are not the usual ones and nobody knows.
    var onLevel: Bool? {
        switch (onValue, offValue) {
        case (0xFF00, 0): true
        case (0, 0xFF00): false
        default: nil
        }
    }

    /// Whether off may be sent again when it was not confirmed.
    package let offIsSafe: Bool
    /// Whether function 1 tells which coils are on.
    let readBack: Bool
    /// The longest pulse this board's locks stand.
    package let longestPulse: Duration
    /// How many locks may be energised at once.
    package let atOnce: Int
    package let polarityKnown: Bool
    /// Nil where the host ends the pulse.
    package let flash: Flash?
    /// Nil where the board has no sensors.
    package let doors: Doors?

    package init(_ options: Options) throws(LockerError) {
        let coils = try options.table("coils")
        firstCoil = try coils.optionalInteger("first", in: Limits.address) ?? 0
        onValue = UInt16(try coils.optionalInteger("on", in: Limits.address) ?? 0xFF00)
        offValue = UInt16(try coils.optionalInteger("off", in: Limits.address) ?? 0)
        offIsSafe = try coils.optionalBoolean("off_is_safe") ?? false
        readBack = try coils.optionalBoolean("read_back") ?? true
        longestPulse = .milliseconds(
            try coils.optionalInteger("max_pulse_ms", in: Limits.pulse) ?? 1000)
        atOnce = try coils.optionalInteger("at_once", in: 1...64) ?? 1
        polarityKnown = try coils.optionalBoolean("polarity_known") ?? true
        switch try coils.string("pulse") {
        case "host": flash = nil
        case "board": flash = try Flash(options.table("flash"))
        case let other:
            throw LockerError(
                .invalidRequest, "board.coils.pulse is \"\(other)\"; want host or board")
        }
        doors = try Doors(options.table("doors"))
        try check()
    }

    private func check() throws(LockerError) {
        if flash == nil, onValue == offValue {
            throw LockerError(
                .invalidRequest, "board.coils.on and board.coils.off are both \(onValue)")
        }
        if flash == nil, atOnce > 1 {
            throw LockerError(
                .invalidRequest,
                "board.coils.at_once is \(atOnce); want 1 where the host ends the pulse")
        }
        if let flash, flash.unit > longestPulse {
            throw LockerError(
                .invalidRequest, "board.flash.unit_ms is above board.coils.max_pulse_ms")
        }
    }
}

extension BoardProfile.Flash {
    fileprivate init(_ options: Options) throws(LockerError) {
        first = try options.integer("first", in: Limits.address)
        unit = .milliseconds(try options.optionalInteger("unit_ms", in: 1...5000) ?? 100)
        highest = try options.optionalInteger("max", in: 1...0xFFFF) ?? 0x7FFF
    }
}

extension BoardProfile.Doors {
    /// Nil where the table says `read = "none"` or nothing.
    fileprivate init?(_ options: Options) throws(LockerError) {
        guard let word = try options.optionalString("read"), word != "none" else { return nil }
        guard let function = ReadFunction(word: word) else {
            let known = ReadFunction.allCases.map(\.word).joined(separator: ", ")
            throw LockerError(
                .invalidRequest, "board.doors.read is \"\(word)\"; want none or one of \(known)")
        }
        self.function = function
        let address = try options.optionalInteger("first", in: Limits.address) ?? 0
        first = address * function.pointsPerAddress
        openLevel = try options.optionalInteger("open", in: 0...1) ?? 1 == 1
    }
}
