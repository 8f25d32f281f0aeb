import GPIOLines
package import LockerKit

/// What is known of a kind of expander, as its profile file says it.
package struct ChipProfile: Sendable, Equatable {
    /// The level of its lines from power-up until somebody drives them.
    package enum PowerUp: String, Sendable, CaseIterable {
        /// They are inputs and drive nothing.
        case input
        /// They are weakly high.
        case high
    }

    package let model: String
    package let lines: Int
    package let powerUp: PowerUp
    /// Offsets that must not be inputs.
    package let outputOnly: Set<Int>
    /// Offsets that must not be outputs.
    package let inputOnly: Set<Int>
    /// Offsets of which nobody knows whether they may be inputs.
    package let doubtfulInputs: Set<Int>
    /// Whether its driver in the kernel tells low levels where the chip does not answer.
    package let readsZeroOnError: Bool
    /// Whether it can pull inputs up, and down.
    package let pullsUp: Bool
    package let pullsDown: Bool
    /// What to take instead.
    package let remedy: String

    package init(_ board: Options) throws(LockerError) {
        let chip = try board.table("chip")
        model = try chip.string("model")
        lines = try chip.integer("lines", in: 1...1024)
        powerUp = try chip.choice("power_up") ?? .input
        outputOnly = chip.has("output_only") ? Set(try chip.integers("output_only")) : []
        inputOnly = chip.has("input_only") ? Set(try chip.integers("input_only")) : []
        doubtfulInputs =
            chip.has("doubtful_inputs") ? Set(try chip.integers("doubtful_inputs")) : []
        readsZeroOnError = try chip.optionalBoolean("reads_zero_on_error") ?? false
        pullsUp = try chip.optionalBoolean("pulls_up") ?? false
        pullsDown = try chip.optionalBoolean("pulls_down") ?? false
        remedy = try chip.optionalString("remedy") ?? "another chip"
    }

    /// What this chip may not bear.
    func remarks(on plan: ExpanderPlan) -> [String] {
        guard plan.inputChip == plan.chip else { return [] }
        let doubtful: [String] = plan.sensed.compactMap { locker in
            guard case .offset(let offset)? = plan.wires[locker]?.input,
                doubtfulInputs.contains(offset)
            else { return nil }
            return
                "locker \(locker) of \(plan.id) has its sensor at line \(offset), which may be unfit for that on a \(model): want another line where there is a choice, or \(remedy)"
        }
        guard readsZeroOnError, plan.canary == nil, !plan.sensed.isEmpty else { return doubtful }
        return doubtful + [
            "the kernel tells low levels of a \(model) that does not answer, and \(plan.id) would take them for those of its doors: want a canary, a line that is pulled high and has nothing else on it"
        ]
    }

    /// Refuses wiring that this chip cannot bear.
    func check(_ plan: ExpanderPlan) throws(LockerError) {
        if let canary = plan.canary, plan.inputChip == plan.chip,
            canary >= lines || outputOnly.contains(canary)
        {
            throw LockerError(
                .invalidRequest,
                "the canary of \(plan.id) is line \(canary), which on a \(model) is no input: want another line"
            )
        }
        for locker in plan.lockers {
            guard let wire = plan.wires[locker] else { continue }
            try check(wire.output, of: locker, "output", not: inputOnly, plan)
            // A profile speaks of one chip; sensors on another one are none of its business.
            if let input = wire.input, plan.inputChip == plan.chip {
                try check(input, of: locker, "sensor", not: outputOnly, plan)
            }
            if powerUp == .high, wire.onLevel {
                throw LockerError(
                    .invalidRequest,
                    "locker \(locker) of \(plan.id) fires at high; lines of a \(model) are high from power-up until lockerd starts, and every lock fires for as long: want relays that fire at low, or \(remedy)"
                )
            }
        }
        guard plan.inputChip == plan.chip else { return }
        let isMissing =
            plan.inputs.bias == .pullUp && !pullsUp || plan.inputs.bias == .pullDown && !pullsDown
        if isMissing, !plan.sensed.isEmpty {
            throw LockerError(
                .invalidRequest,
                "input_bias of \(plan.id) is \"\(plan.inputs.bias.rawValue)\"; a \(model) has no such resistors: want as-is, and resistors on the board"
            )
        }
    }

    private func check(
        _ line: ExpanderPlan.LineWord, of locker: Int, _ what: String, not unfit: Set<Int>,
        _ plan: ExpanderPlan
    ) throws(LockerError) {
        guard case .offset(let offset) = line else { return }
        guard offset < lines else {
            throw LockerError(
                .invalidRequest,
                "locker \(locker) of \(plan.id) has its \(what) at line \(offset); a \(model) has lines 0-\(lines - 1)"
            )
        }
        guard unfit.contains(offset) else { return }
        let other = what == "sensor" ? "an output only" : "an input only"
        throw LockerError(
            .invalidRequest,
            "locker \(locker) of \(plan.id) has its \(what) at line \(offset), which on a \(model) is \(other): want another line, or \(remedy)"
        )
    }
}
