import CoilGuardian
import GPIOLines
import LockerKit

/// The lines of a plan as they were found on the machine: names looked up, and everything checked that only the chip can tell.
struct FoundLines {
    let chip: Chip
    let inputChip: Chip
    /// The locks' lines, in the order of the lockers.
    let outputs: [Bank.Line]
    /// Each locker's place in ``outputs``.
    let places: [Int: Int]
    /// By the offsets of their lines.
    let sensors: [Int: SensorBank.Sensor]

    init(_ plan: ExpanderPlan) throws(GPIOFailure) {
        let chip = try Chip.find(plan.chip)
        let inputChip = plan.inputChip == plan.chip ? chip : try Chip.find(plan.inputChip)
        var outputs: [Bank.Line] = []
        var places: [Int: Int] = [:]
        var sensors: [Int: SensorBank.Sensor] = [:]
        var wires = plan.wires
        for locker in plan.lockers {
            guard let wire = plan.wires[locker] else { continue }
            let output = try Self.offset(of: wire.output, on: chip)
            places[locker] = outputs.count
            outputs.append(Bank.Line(offset: output, onLevel: wire.onLevel))
            var input: Int?
            if let word = wire.input {
                let line = try Self.offset(of: word, on: inputChip)
                if let other = sensors[line] {
                    throw Self.shared(line, inputChip, other.locker, locker)
                }
                sensors[line] = SensorBank.Sensor(locker: locker, openLevel: wire.openLevel)
                input = line
            }
            wires[locker] = wire.found(output, input)
        }
        (self.chip, self.inputChip) = (chip, inputChip)
        (self.outputs, self.places, self.sensors) = (outputs, places, sensors)
        try refuseSharedLines(plan)
        // Once more, with what names and a second spelling of the chip had hidden from it.
        do throws(LockerError) {
            try plan.profile?.check(plan.found(wires, isOneChip: chip == inputChip))
        } catch {
            throw GPIOFailure(0, error.message)
        }
    }

    /// Names and offsets may mean the same line, which only the chip can tell.
    private func refuseSharedLines(_ plan: ExpanderPlan) throws(GPIOFailure) {
        var owners: [Int: Int] = [:]
        for (locker, line) in zip(plan.lockers, outputs) {
            if let owner = owners.updateValue(locker, forKey: line.offset) {
                throw Self.shared(line.offset, chip, owner, locker)
            }
            if chip == inputChip, let sensor = sensors[line.offset] {
                throw Self.shared(line.offset, chip, sensor.locker, locker)
            }
        }
        guard let canary = plan.canary else { return }
        guard canary < inputChip.lines else {
            throw GPIOFailure(
                0, "canary \(canary) of \(inputChip.name): it has lines 0-\(inputChip.lines - 1)")
        }
        if let other = sensors[canary]?.locker ?? (chip == inputChip ? owners[canary] : nil) {
            throw GPIOFailure(
                0, "line \(canary) of \(chip.name): the canary and locker \(other) share it")
        }
    }

    private static func shared(_ line: Int, _ chip: Chip, _ one: Int, _ other: Int) -> GPIOFailure {
        GPIOFailure(0, "line \(line) of \(chip.name): lockers \(one) and \(other) share it")
    }

    private static func offset(
        of word: ExpanderPlan.LineWord, on chip: Chip
    ) throws(GPIOFailure) -> Int {
        switch word {
        case .offset(let offset):
            guard offset < chip.lines else {
                throw GPIOFailure(
                    0,
                    "line \(offset) of \(chip.name) (\(chip.label)): it has lines 0-\(chip.lines - 1)"
                )
            }
            return offset
        case .name(let name):
            let named = try chip.allLines().filter { $0.name == name }
            guard named.count == 1 else {
                throw GPIOFailure(
                    0,
                    "line \"\(name)\" of \(chip.name) (\(chip.label)): \(named.isEmpty ? "no line" : "more than one line") has that name"
                )
            }
            return named[0].offset
        }
    }
}
