import GPIOLines

@testable import CoilGuardian

/// Wires in memory: their levels, who drives them, and what goes wrong with them.
final class Wires: LineSource {
    private final class Driven: OutputLines {
        let wires: Wires
        let offsets: [Int]

        init(_ wires: Wires, _ offsets: [Int]) {
            self.wires = wires
            self.offsets = offsets
            wires.driven.formUnion(offsets)
        }

        deinit { wires.driven.subtract(offsets) }

        func set(_ index: Int, to level: Bool) throws(GPIOFailure) {
            if let failure = wires.onSet { throw failure }
            if !level, let failure = wires.onClear { throw failure }
            // As regmap's cache has it: what was tried last is not written again, whether or not it arrived.
            let isLeftOut = wires.cached[offsets[index]] == level
            wires.cached[offsets[index]] = level
            if wires.losesOrders > 0 {
                wires.losesOrders -= 1
                return
            }
            guard !isLeftOut else { return }
            wires.levels[offsets[index]] = level
            wires.history.append("\(offsets[index])\(level ? "+" : "-")")
        }

        func levels() throws(GPIOFailure) -> [Bool] {
            if let failure = wires.onSet ?? wires.onGet { throw failure }
            return offsets.map { wires.levels[$0] ?? false }
        }
    }

    private final class Rest: OutputLines {
        let wires: Wires

        init(_ wires: Wires) { self.wires = wires }

        func set(_: Int, to _: Bool) throws(GPIOFailure) { throw busy }

        func levels() throws(GPIOFailure) -> [Bool] {
            if let failure = wires.onSet { throw failure }
            return [false]
        }
    }

    var levels: [Int: Bool] = [:]
    var driven: Set<Int> = []
    var resting: [Int] = []
    var history: [String] = []
    var onTake: GPIOFailure?
    var onSet: GPIOFailure?
    var onClear: GPIOFailure?
    var onGet: GPIOFailure?
    var onRest: GPIOFailure?
    var cached: [Int: Bool] = [:]
    /// Orders that do not reach the chip while nobody says so.
    var losesOrders = 0

    func drive(
        _ places: [Int], of bank: Bank, at levels: [Bool]
    ) throws(GPIOFailure) -> any OutputLines {
        if let onTake { throw onTake }
        for (place, level) in zip(places, levels) { self.levels[bank.lines[place].offset] = level }
        return Driven(self, places.map { bank.lines[$0].offset })
    }

    func rest(_ place: Int, of bank: Bank) throws(GPIOFailure) -> any OutputLines {
        if let failure = onRest ?? onTake { throw failure }
        resting.append(bank.lines[place].offset)
        return Rest(self)
    }
}

func bank(offKnown: Bool = true, onLevel: Bool = true) -> Bank {
    Bank(
        chip: "/dev/gpiochip0",
        lines: (0..<4).map { Bank.Line(offset: $0, onLevel: onLevel) }, wiring: Wiring(),
        isOffKnown: offKnown, longest: .seconds(1), consumer: "lockerd wall")
}

let busy = GPIOFailure(16, "line 0: \"others\" uses it already")
let broken = GPIOFailure(5, "line 0: input/output error")
/// A bus whose chip did not answer once (ENXIO), which is not one that is gone.
let silent = GPIOFailure(6, "line 0: the chip does not answer")
let gone = GPIOFailure(19, "the chip is gone")
