package import BusKit
package import LockerKit

/// A model of board as its profile file describes it.
package struct BoardProfile: Sendable, Equatable {
    /// Pulses that the board ends by itself: an order to an address of its own, with the length as its value.
    package struct Flash: Sendable, Equatable {
        /// The address for the first coil.
        package let first: Int
        /// What one unit of the value stands for; with `command` the one length that there is.
        package let unit: Duration
        /// The highest number of units that the board takes.
        package let highest: Int
        /// The value of no units: what a board with several commands at one address tells this one by.
        package var base: UInt16 = 0
        /// The value of a momentary command, whose length is not up to us; nil where the value says it.
        package var command: UInt16?

        /// The order's value and the length of the pulse that follows from it: whole units within the pulse asked for, because a
        /// coil is on for at most its pulse; nil where that is shorter than one.
        package func shot(for pulse: Duration) -> (value: UInt16, length: Duration)? {
            guard pulse >= unit else { return nil }
            if let command { return (command, unit) }
            let units = min(Int(pulse / unit), highest)
            return (UInt16(clamping: Int(base) + units), unit * units)
        }
    }

    /// Where the door sensors are.
    package struct Doors: Sendable, Equatable {
        package let function: ReadFunction
        /// The point of the first locker's sensor.
        package let first: Int
        /// From one sensor's point to the next one's.
        package let step: Int
        /// The level of a sensor whose door is open.
        package let openLevel: Bool
    }

    /// The address of the first locker's coil.
    package let firstCoil: Int
    package let onValue: UInt16
    package let offValue: UInt16

    package let write: WriteFunction
    package let echo: Echo
    package let timing: BoardTiming

    /// How a coil that is off reads back, as a bit or a register; nil where the orders are not the usual ones and nobody knows.
    let readsOff: UInt16?
    /// Whether off may be sent again when it was not confirmed.
    package let offIsSafe: Bool
    /// Whether the order that releases a relay elsewhere energises here: nothing is ever released unasked.
    package let isInverted: Bool
    /// Whether the board tells which coils are on.
    let readBack: Bool
    /// The longest pulse this board's locks stand.
    package let longestPulse: Duration
    /// How many locks may be energised at once.
    package let atOnce: Int
    package let polarityKnown: Bool
    /// Whether the board has an Ethernet port of its own and no serial line.
    package let isOnNetwork: Bool
    /// The holding register that has the board's unit number, for tools; nil where nobody knows one.
    package let unitRegister: Int?
    /// Nil where the host ends the pulse.
    package let flash: Flash?
    /// Nil where the board has no sensors.
    package let doors: Doors?

    package init(_ options: Options) throws(LockerError) {
        let coils = try options.table("coils")
        firstCoil = try coils.optionalInteger("first", in: Limits.address) ?? 0
        onValue = UInt16(try coils.optionalInteger("on", in: Limits.address) ?? 0xFF00)
        offValue = UInt16(try coils.optionalInteger("off", in: Limits.address) ?? 0)
        write = try coils.named("write", \.word) ?? .coil
        echo = try coils.named("echo", \.rawValue) ?? .exact
        isInverted = try coils.optionalBoolean("inverted") ?? false || onValue == 0
        readsOff = Self.readsOff(
            try coils.optionalInteger("reads_off", in: Limits.address), write, onValue, offValue)
        offIsSafe = try coils.optionalBoolean("off_is_safe") ?? false
        readBack = try coils.optionalBoolean("read_back") ?? true
        longestPulse = .milliseconds(
            try coils.optionalInteger("max_pulse_ms", in: Limits.pulse) ?? 1000)
        atOnce = try coils.optionalInteger("at_once", in: 1...64) ?? 1
        polarityKnown = try coils.optionalBoolean("polarity_known") ?? true
        isOnNetwork = try options.optionalBoolean("network") ?? false
        switch try coils.string("pulse") {
        case "host": flash = nil
        case "board": flash = try Flash(options.table("flash"))
        case let other:
            throw LockerError(
                .invalidRequest, "board.coils.pulse is \"\(other)\"; want host or board")
        }
        doors = try Doors(options.table("doors"))
        unitRegister = try options.table("unit").optionalInteger("register", in: Limits.address)
        timing = try BoardTiming(options.table("timing"))
        try check()
    }

    /// A register is taken to read as it was written; a coil that was written reads 1 after 0xFF00.
    private static func readsOff(
        _ said: Int?, _ write: WriteFunction, _ on: UInt16, _ off: UInt16
    ) -> UInt16? {
        if let said { return UInt16(clamping: said) }
        guard write == .coil else { return off }
        switch (on, off) {
        case (0xFF00, 0): return 0
        case (0, 0xFF00): return 1
        default: return nil
        }
    }

    private func check() throws(LockerError) {
        if flash == nil, onValue == offValue {
            throw LockerError(
                .invalidRequest, "board.coils.on and board.coils.off are both \(onValue)")
        }
        // On and off differ in nothing but their values: the answer to one, late, would confirm the other.
        if flash == nil, echo == .address {
            throw LockerError(
                .invalidRequest,
                "board.coils.echo is \"address\" where the host ends the pulse; want exact, or an off could be confirmed by the answer to an on"
            )
        }
        if isInverted, offIsSafe {
            throw LockerError(
                .invalidRequest,
                "board.coils.off_is_safe is true on an inverted board; off is never sent there unasked"
            )
        }
        if flash == nil, atOnce > 1 {
            throw LockerError(
                .invalidRequest,
                "board.coils.at_once is \(atOnce); want 1 where the host ends the pulse")
        }
        // No off can be trusted there: each would be sent into the answer to its on.
        if flash == nil, timing.response > longestPulse {
            throw LockerError(
                .invalidRequest,
                "board.timing.response_ms is above board.coils.max_pulse_ms where the host ends the pulse: off would be sent before on is answered"
            )
        }
        if let flash, flash.base != 0 {
            // Units that carry into the command would be another command.
            let bits = Int.bitWidth - flash.highest.leadingZeroBitCount
            guard Int(flash.base) & ((1 << bits) - 1) == 0 else {
                throw LockerError(
                    .invalidRequest,
                    "board.flash.max is \(flash.highest); want less, it reaches into board.flash.base, \(flash.base)"
                )
            }
        }
        if let flash, flash.unit > longestPulse {
            throw LockerError(
                .invalidRequest, "board.flash.unit_ms is above board.coils.max_pulse_ms")
        }
        try checkPolarity()
    }
}

extension BoardProfile {
    /// What is called inverted and is not would be left unlocked by every open.
    private func checkPolarity() throws(LockerError) {
        guard isInverted, write == .coil, onValue != 0 || offValue == 0 else { return }
        throw LockerError(
            .invalidRequest,
            "board.coils.inverted is true with on = \(onValue) and off = \(offValue); want on = 0, and off what locks"
        )
    }
}

extension BoardProfile.Flash {
    fileprivate init(_ options: Options) throws(LockerError) {
        first = try options.integer("first", in: Limits.address)
        unit = .milliseconds(try options.optionalInteger("unit_ms", in: 1...5000) ?? 100)
        base = UInt16(try options.optionalInteger("base", in: Limits.address) ?? 0)
        command = try options.optionalInteger("command", in: Limits.address).map { UInt16($0) }
        let room = 0xFFFF - Int(base)
        let highest = try options.optionalInteger("max", in: 1...0xFFFF)
        self.highest = highest ?? min(0x7FFF, room)
        guard command == nil || (base == 0 && highest == nil) else {
            throw LockerError(
                .invalidRequest,
                "board.flash.command stands with base or max; want it alone, it has one length")
        }
        guard base == 0 || highest != nil else {
            throw LockerError(
                .invalidRequest,
                "board.flash.max is missing; want the highest number of units that leaves the command in board.flash.base alone"
            )
        }
        guard self.highest > 0, self.highest <= room else {
            throw LockerError(
                .invalidRequest,
                "board.flash.base and board.flash.max come to \(Int(base) + self.highest); want at most 65535"
            )
        }
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
        let perRegister = try options.optionalInteger("per_register", in: 1...16) ?? 16
        guard perRegister == 16 || (perRegister == 1 && function.isOfRegisters) else {
            throw LockerError(
                .invalidRequest,
                "board.doors.per_register is \(perRegister); want 16, or 1 with registers")
        }
        step = perRegister == 1 ? function.pointsPerAddress : 1
        openLevel = try options.optionalInteger("open", in: 0...1) ?? 1 == 1
    }
}

extension Options {
    /// One of a closed list by its word in files; nil where it is absent.
    fileprivate func named<Choice: CaseIterable>(
        _ key: String, _ word: KeyPath<Choice, String>
    ) throws(LockerError) -> Choice? {
        guard let text = try optionalString(key) else { return nil }
        guard let choice = Choice.allCases.first(where: { $0[keyPath: word] == text }) else {
            let known = Choice.allCases.map { $0[keyPath: word] }.joined(separator: ", ")
            throw LockerError(
                .invalidRequest, "board.coils.\(key) is \"\(text)\"; want one of \(known)")
        }
        return choice
    }
}
