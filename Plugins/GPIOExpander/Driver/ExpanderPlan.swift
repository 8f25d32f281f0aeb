package import GPIOLines
package import LockerKit

/// One controller with its lockers' lines, checked: all that can be known without the hardware.
package struct ExpanderPlan: Sendable {
    /// A line as a file names it.
    package enum LineWord: Sendable, Hashable, CustomStringConvertible {
        case offset(Int)
        case name(String)

        package var description: String {
            switch self {
            case .offset(let offset): String(offset)
            case .name(let name): "\"\(name)\""
            }
        }
    }

    /// The wires of one locker.
    package struct Wires: Sendable, Equatable {
        package let output: LineWord
        /// The level that fires the lock.
        package let onLevel: Bool
        package let input: LineWord?
        /// The level of its input while the door is open; nil where nobody has said it.
        package let openLevel: Bool?

        /// The same with the lines that were found.
        func found(_ output: Int, _ input: Int?) -> Wires {
            Wires(
                output: .offset(output), onLevel: onLevel, input: input.map { .offset($0) },
                openLevel: openLevel)
        }
    }

    package let id: String
    package let chip: String
    package private(set) var inputChip: String
    /// A line of ``inputChip`` that is always high while the chip answers; nil where there is none.
    package let canary: Int?
    package let profile: ChipProfile?
    package let isOffKnown: Bool
    package let outputs: Wiring
    package let inputs: Wiring
    package let debounce: Duration
    package let longestPulse: Duration
    package private(set) var wires: [Int: Wires]

    /// The lockers by rising number.
    package var lockers: [Int] { wires.keys.sorted() }
    /// Those with sensors.
    package var sensed: [Int] { wires.filter { $0.value.input != nil }.keys.sorted() }

    package init(_ description: ControllerDescription, link: Options) throws(LockerError) {
        let options = description.options
        id = description.id
        chip = try options.string("chip")
        inputChip = try options.optionalString("input_chip") ?? chip
        canary = try options.optionalInteger("canary", in: Limits.offset)
        profile = description.board.keys.isEmpty ? nil : try ChipProfile(description.board)
        isOffKnown = try options.optionalBoolean("polarity_known") ?? false
        outputs = Wiring(drive: try options.choice("drive") ?? .pushPull)
        inputs = Wiring(bias: try options.choice("input_bias") ?? .asIs)
        debounce = .milliseconds(try link.optionalInteger("debounce_ms", in: Limits.debounce) ?? 10)
        longestPulse = .milliseconds(
            try options.optionalInteger("max_pulse_ms", in: Limits.pulse) ?? 1000)
        let usual = Usual(
            onLevel: try options.string("fires_at") == "high",
            firstOutput: try options.optionalInteger("first_output") ?? 0,
            firstInput: try options.optionalInteger("first_input"),
            openLevel: try options.optionalInteger("open_level", in: 0...1).map { $0 == 1 })
        var wires: [Int: Wires] = [:]
        for locker in description.lockers {
            wires[locker.number] = try usual.wires(of: locker, on: description.id)
        }
        self.wires = wires
        guard wires.count <= LineSet.most else {
            throw LockerError(
                .invalidRequest,
                "\(description.id) has \(wires.count) lockers; want at most \(LineSet.most), which is what the kernel hands out at once: make two controllers of it"
            )
        }
        try refuseSharedLines()
        try profile?.check(self)
    }

    /// What holds for every locker whose table does not say otherwise.
    private struct Usual {
        let onLevel: Bool
        let firstOutput: Int
        let firstInput: Int?
        let openLevel: Bool?

        func wires(
            of locker: LockerDescription, on id: String
        ) throws(LockerError) -> Wires {
            let isInverted = try locker.options.optionalBoolean("sensor_inverted") ?? false
            var input = try Self.line("input", locker.options)
            if input == nil { input = firstInput.map { .offset($0 + locker.number - 1) } }
            if locker.hasSensor, input == nil {
                throw LockerError(
                    .invalidRequest,
                    "locker \(locker.number) of \(id) has a sensor and no line for it; want first_input, an input or input_name of its own, or sensor = false"
                )
            }
            let level = try locker.options.optionalString("fires_at")
            return Wires(
                output: try Self.line("output", locker.options)
                    ?? .offset(firstOutput + locker.number - 1),
                onLevel: level.map { $0 == "high" } ?? onLevel,
                input: locker.hasSensor ? input : nil,
                openLevel: openLevel.map { $0 != isInverted })
        }

        private static func line(
            _ key: String, _ options: Options
        ) throws(LockerError) -> LineWord? {
            let offset = try options.optionalInteger(key, in: Limits.offset)
            let name = try options.optionalString("\(key)_name")
            if offset != nil, name != nil {
                throw LockerError(
                    .invalidRequest, "a locker has \(key) and \(key)_name; want one of them")
            }
            return offset.map { .offset($0) } ?? name.map { .name($0) }
        }
    }

    /// One line on two coils, or a coil and a sensor on one line: an open would open a stranger's door.
    private func refuseSharedLines() throws(LockerError) {
        var owners: [String: Int] = [:]
        let canaryLine = canary.map { "\(inputChip) \($0)" }
        for locker in lockers {
            guard let wire = wires[locker] else { continue }
            let lines = [(chip, wire.output)] + (wire.input.map { [(inputChip, $0)] } ?? [])
            if lines.contains(where: { "\($0.0) \($0.1)" == canaryLine }) {
                throw LockerError(
                    .invalidRequest,
                    "locker \(locker) of \(id) is on the line of the canary; want a line for that alone"
                )
            }
            for (chip, line) in lines {
                if let owner = owners.updateValue(locker, forKey: "\(chip) \(line)") {
                    throw LockerError(
                        .invalidRequest,
                        "lockers \(owner) and \(locker) of \(id) share line \(line) of \(chip); want one each, and another for a sensor"
                    )
                }
            }
        }
    }

    /// The same with the lines that were found, and with both chips' names being one where they are one chip.
    func found(_ wires: [Int: Wires], isOneChip: Bool) -> ExpanderPlan {
        var plan = self
        plan.wires = wires
        if isOneChip { plan.inputChip = chip }
        return plan
    }

    /// Whether the doors are told, and nobody knows what is told.
    var lacksOpenLevel: Bool { sensed.contains { wires[$0]?.openLevel == nil } }

    /// What this controller can do and prove.
    package var capabilities: Capabilities {
        Capabilities(
            pulseTiming: .host, evidence: .none, maximumTogether: 1, polarityKnown: isOffKnown,
            doorSensors: !sensed.isEmpty)
    }
}
