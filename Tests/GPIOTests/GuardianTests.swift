import GPIOLines
import JSONLines
import TestSupport
import Testing

@testable import CoilGuardian

/// Wires in memory: their levels, who drives them, and what goes wrong with them.
private final class Wires: LineSource {
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

private func bank(offKnown: Bool = true, onLevel: Bool = true) -> Bank {
    Bank(
        chip: "/dev/gpiochip0",
        lines: (0..<4).map { Bank.Line(offset: $0, onLevel: onLevel) }, wiring: Wiring(),
        isOffKnown: offKnown, longest: .seconds(1), consumer: "lockerd wall")
}

private let busy = GPIOFailure(16, "line 0: \"others\" uses it already")
private let broken = GPIOFailure(5, "line 0: input/output error")
/// A bus whose chip did not answer once (ENXIO), which is not one that is gone.
private let silent = GPIOFailure(6, "line 0: the chip does not answer")
private let gone = GPIOFailure(19, "the chip is gone")

@Suite struct `A coil guardian` {
    private let wires = Wires()
    private let start = ContinuousClock.now

    private func guardian(_ held: Bank = bank()) -> Guardian {
        var guardian = Guardian(wires)
        #expect(
            guardian.carryOut(Order(id: 1, bank: 0, .hold(held)), at: start) == [Answer(1, .done)])
        return guardian
    }

    private func pulse(_ id: Int, line: Int, _ milliseconds: Int) -> Order {
        Order(id: id, bank: 0, .pulse(line: line, length: .milliseconds(milliseconds)))
    }

    @Test(arguments: [true, false])
    func `drives every line off when it takes them`(onLevel: Bool) {
        let guardian = guardian(bank(onLevel: onLevel))
        #expect(wires.driven == [0, 1, 2, 3])
        #expect(!guardian.isOn)
        #expect(wires.levels == [0: !onLevel, 1: !onLevel, 2: !onLevel, 3: !onLevel])
        #expect(wires.history == [])
    }

    @Test(arguments: [true, false])
    func `ends a pulse when it is over, not before`(onLevel: Bool) {
        var guardian = guardian(bank(onLevel: onLevel))
        #expect(guardian.carryOut(pulse(2, line: 1, 200), at: start) == [Answer(2, .on)])
        #expect(wires.levels[1] == onLevel)
        #expect(guardian.pass(start + .milliseconds(199)) == [])
        #expect(wires.levels[1] == onLevel)
        let end = start + .milliseconds(201)
        #expect(guardian.pass(end) == [Answer(2, .off(after: .milliseconds(201), isSeen: true))])
        #expect(wires.levels[1] == !onLevel)
        #expect(!guardian.isOn)
        #expect(guardian.nextDue == nil)
    }

    @Test func `keeps to its longest pulse whoever asks`() {
        var guardian = guardian()
        for length in [1001, 5001, 60_000] {
            guard
                case .failed(_, mayBeOn: false) = guardian.carryOut(
                    pulse(2, line: 0, length), at: start)[0].what
            else {
                Issue.record("a pulse of \(length) ms was taken")
                continue
            }
        }
        #expect(wires.history == [])
    }

    @Test func `cuts short what is told to end`() {
        var guardian = guardian()
        _ = guardian.carryOut(pulse(2, line: 0, 500), at: start)
        _ = guardian.carryOut(pulse(3, line: 2, 500), at: start)
        let answers = guardian.carryOut(
            Order(id: 4, bank: 0, .off), at: start + .milliseconds(20))
        #expect(
            answers == [
                Answer(2, .off(after: .milliseconds(20), isSeen: nil)),
                Answer(3, .off(after: .milliseconds(20), isSeen: nil)),
                Answer(4, .done),
            ])
        #expect(wires.levels[0] == false && wires.levels[2] == false)
    }

    @Test func `switches all off when its driver is gone`() {
        var guardian = guardian()
        for line in 0..<4 { _ = guardian.carryOut(pulse(2 + line, line: line, 900), at: start) }
        _ = guardian.endAll(at: start + .milliseconds(1))
        #expect(wires.levels.values.allSatisfy { !$0 })
        #expect(!guardian.isOn)
    }

    @Test func `goes on trying to switch off what does not go off`() {
        var guardian = guardian()
        _ = guardian.carryOut(pulse(2, line: 0, 100), at: start)
        wires.onClear = broken
        var now = start + .milliseconds(100)
        var answers = guardian.pass(now)
        // One order that a bus loses is no alarm.
        #expect(answers == [])
        var pauses: [Duration] = []
        for _ in 0..<50 {
            let due = guardian.nextDue ?? now
            pauses.append(now.duration(to: due))
            now = due
            answers += guardian.pass(now)
            #expect(guardian.isOn)
        }
        #expect(answers == [Answer(2, .stuck(broken))])
        #expect(pauses.first == .milliseconds(10) && pauses.last == .seconds(1))
        wires.onClear = nil
        now = guardian.nextDue ?? now
        let taken = start.duration(to: now)
        #expect(guardian.pass(now) == [Answer(2, .off(after: taken, isSeen: nil))])
        #expect(wires.levels[0] == false)
    }

    @Test func `keeps a stuck line also when it is told to let go`() {
        var guardian = guardian()
        _ = guardian.carryOut(pulse(2, line: 0, 100), at: start)
        wires.onClear = broken
        _ = guardian.carryOut(Order(id: 3, bank: 0, .drop), at: start)
        #expect(guardian.isOn)
        #expect(wires.driven == [0, 1, 2, 3])
        wires.onClear = nil
        _ = guardian.endAll(at: start)
        #expect(wires.levels[0] == false)
        #expect(!guardian.isOn)
        #expect(wires.driven == [])
    }

    @Test func `takes an order that failed for one that may have worked, and switches off`() {
        var guardian = guardian()
        wires.onSet = broken
        let answers = guardian.carryOut(pulse(2, line: 0, 100), at: start)
        #expect(answers.first == Answer(2, .failed(broken, mayBeOn: true)))
        #expect(guardian.isOn)
        wires.onSet = nil
        _ = guardian.pass(guardian.nextDue ?? start)
        #expect(wires.history == ["0-"])
        #expect(!guardian.isOn)
    }

    @Test func `does not believe an order that the chip's driver had nothing to say of`() {
        var guardian = guardian()
        _ = guardian.carryOut(pulse(2, line: 0, 100), at: start)
        wires.losesOrders = 1
        var now = start + .milliseconds(100)
        #expect(guardian.pass(now) == [])
        #expect(wires.levels[0] == true && guardian.isOn)
        // The same order alone would be left out by the cache.
        now = guardian.nextDue ?? now
        #expect(guardian.pass(now) == [Answer(2, .off(after: .milliseconds(110), isSeen: nil))])
        #expect(wires.levels[0] == false && !guardian.isOn)
        #expect(wires.history == ["0+", "0+", "0-"])
    }

    @Test func `tells whether a line that was switched on is`() {
        var guardian = guardian()
        let end = start + .milliseconds(100)
        let off = Answer.What.off(after: .milliseconds(100), isSeen: true)
        _ = guardian.carryOut(pulse(2, line: 0, 100), at: start)
        #expect(guardian.nextDue == start + Pulse.settling)
        #expect(guardian.pass(start + Pulse.settling) == [])
        #expect(guardian.nextDue == end)
        #expect(guardian.pass(end) == [Answer(2, off)])
        wires.losesOrders = 1
        _ = guardian.carryOut(pulse(3, line: 1, 100), at: start)
        _ = guardian.pass(start + Pulse.settling)
        #expect(guardian.pass(end) == [Answer(3, .off(after: .milliseconds(100), isSeen: false))])
        _ = guardian.carryOut(pulse(4, line: 2, 100), at: start)
        wires.onGet = broken
        _ = guardian.pass(start + Pulse.settling)
        wires.onGet = nil
        #expect(guardian.pass(end) == [Answer(4, .off(after: .milliseconds(100), isSeen: false))])
    }

    @Test func `takes a line for on that cannot be read`() {
        var guardian = guardian()
        _ = guardian.carryOut(pulse(2, line: 0, 100), at: start)
        wires.onGet = silent
        for _ in 0..<9 { _ = guardian.pass(guardian.nextDue ?? start) }
        #expect(guardian.isOn)
        wires.onGet = nil
        _ = guardian.pass(guardian.nextDue ?? start)
        #expect(!guardian.isOn)
    }

    @Test func `does nothing else with lines of which one is stuck, and says why`() {
        var guardian = guardian()
        _ = guardian.carryOut(pulse(2, line: 0, 100), at: start)
        wires.onClear = silent
        for _ in 0..<Pulse.triesUntilStuck { _ = guardian.pass(guardian.nextDue ?? start) }
        let now = start + .milliseconds(200)
        #expect(guardian.carryOut(pulse(3, line: 1, 100), at: now) == [Answer(3, .stuck(silent))])
        #expect(
            guardian.carryOut(Order(id: 4, bank: 0, .check), at: now) == [
                Answer(4, .stuck(silent))
            ])
        _ = guardian.carryOut(Order(id: 5, bank: 0, .drop), at: now)
        #expect(
            guardian.carryOut(Order(id: 6, bank: 0, .hold(bank())), at: now) == [
                Answer(6, .stuck(silent))
            ])
        wires.onClear = nil
        _ = guardian.endAll(at: now)
        #expect(
            guardian.carryOut(Order(id: 7, bank: 0, .hold(bank())), at: now) == [Answer(7, .done)])
    }

    @Test func `lets no stuck line delay the end of a pulse, for a while`() {
        var guardian = guardian()
        let other = Bank(
            chip: "/dev/gpiochip1", lines: [Bank.Line(offset: 9, onLevel: true)], wiring: Wiring(),
            isOffKnown: true, longest: .seconds(5), consumer: "lockerd other")
        _ = guardian.carryOut(Order(id: 8, bank: 1, .hold(other)), at: start)
        _ = guardian.carryOut(pulse(2, line: 0, 100), at: start)
        wires.onClear = silent
        let isLate = start + .milliseconds(100)
        for _ in 0..<Pulse.triesUntilStuck {
            _ = guardian.pass(max(isLate, guardian.nextDue ?? start))
        }
        wires.onClear = nil
        wires.history = []
        let now = start + .milliseconds(120)
        let order = Order(id: 9, bank: 1, .pulse(line: 0, length: .milliseconds(400)))
        #expect(guardian.carryOut(order, at: now) == [Answer(9, .on)])
        #expect(guardian.pass(now + .milliseconds(5)) == [])
        #expect(guardian.nextDue == now + .milliseconds(400))
        #expect(guardian.pass(now + .milliseconds(399)) == [])
        let end = now + .milliseconds(400)
        #expect(
            guardian.pass(end) == [
                Answer(9, .off(after: .milliseconds(400), isSeen: true)),
                Answer(2, .off(after: .milliseconds(520), isSeen: nil)),
            ])
        #expect(wires.history == ["9+", "9-", "0-"])
    }

    @Test func `makes an input of every line that it drove, or is not done`() {
        var guardian = guardian(bank(offKnown: false))
        _ = guardian.carryOut(pulse(2, line: 3, 100), at: start)
        wires.onRest = broken
        let end = start + .milliseconds(100)
        _ = guardian.pass(end)
        #expect(guardian.isOn)
        #expect(
            guardian.carryOut(Order(id: 3, bank: 0, .check), at: end) == [
                Answer(3, .stuck(broken))
            ])
        _ = guardian.carryOut(Order(id: 4, bank: 0, .drop), at: end)
        #expect(guardian.isOn)
        wires.onRest = nil
        _ = guardian.pass(guardian.nextDue ?? end)
        #expect(!guardian.isOn)
        #expect(wires.resting == [0, 1, 2, 3, 3])
    }

    @Test func `takes a request that failed for one that may have driven the line`() {
        var guardian = guardian(bank(offKnown: false))
        wires.onTake = broken
        #expect(
            guardian.carryOut(pulse(2, line: 1, 100), at: start) == [
                Answer(2, .failed(broken, mayBeOn: true))
            ])
        #expect(guardian.isOn)
        wires.onTake = nil
        _ = guardian.pass(guardian.nextDue ?? start)
        #expect(!guardian.isOn)
        wires.onTake = busy
        #expect(
            guardian.carryOut(pulse(3, line: 1, 100), at: start) == [
                Answer(3, .failed(busy, mayBeOn: false))
            ])
        #expect(!guardian.isOn, "somebody else's line")
    }

    @Test func `has nothing to switch off on a chip that is gone`() {
        var guardian = guardian()
        _ = guardian.carryOut(pulse(2, line: 0, 100), at: start)
        wires.onSet = gone
        #expect(
            guardian.pass(start + .milliseconds(100)) == [Answer(2, .failed(gone, mayBeOn: true))])
        #expect(!guardian.isOn)
    }

    @Test func `drives lines during a pulse only while nobody knows their polarity`() {
        var guardian = guardian(bank(offKnown: false))
        #expect(wires.driven == [])
        #expect(wires.resting == [0, 1, 2, 3])
        _ = guardian.carryOut(pulse(2, line: 3, 100), at: start)
        #expect(wires.driven == [3])
        #expect(wires.levels == [3: true])
        _ = guardian.pass(start + .milliseconds(100))
        #expect(wires.driven == [])
        #expect(wires.resting == [0, 1, 2, 3, 3])
    }

    @Test func `notices a chip that is gone also where it drives nothing`() {
        var guardian = guardian(bank(offKnown: false))
        let check = Order(id: 2, bank: 0, .check)
        #expect(
            guardian.carryOut(check, at: start) == [Answer(2, .levels([nil, nil, nil, nil]))])
        wires.onSet = gone
        #expect(
            guardian.carryOut(check, at: start) == [Answer(2, .failed(gone, mayBeOn: false))])
    }

    @Test func `says who is in the way`() {
        wires.onTake = busy
        var guardian = Guardian(wires)
        #expect(
            guardian.carryOut(Order(id: 1, bank: 0, .hold(bank())), at: start) == [
                Answer(1, .failed(busy, mayBeOn: false))
            ])
        guard case .failed = guardian.carryOut(pulse(2, line: 0, 100), at: start)[0].what else {
            Issue.record("it fires lines that it does not hold")
            return
        }
    }

    @Test func `fires no line twice at once, and none that is not there`() {
        var guardian = guardian()
        _ = guardian.carryOut(pulse(2, line: 0, 100), at: start)
        for order in [
            pulse(3, line: 0, 100), pulse(4, line: 4, 100), Order(id: 5, bank: 1, .check),
        ] {
            guard case .failed(_, mayBeOn: false) = guardian.carryOut(order, at: start)[0].what
            else {
                Issue.record("\(order) was carried out")
                continue
            }
        }
        #expect(wires.history == ["0+"])
    }

    @Test func `tells which lines are on`() {
        var guardian = guardian(bank(onLevel: false))
        _ = guardian.carryOut(pulse(2, line: 1, 100), at: start)
        #expect(
            guardian.carryOut(Order(id: 3, bank: 0, .check), at: start) == [
                Answer(3, .levels([false, true, false, false]))
            ])
    }
}

@Suite struct `What driver and guardian say to each other` {
    private static let orders: [Order] = [
        Order(id: 1, bank: 0, .hold(bank())),
        Order(id: 2, bank: 3, .hold(bank(offKnown: false, onLevel: false))),
        Order(id: 3, bank: 0, .pulse(line: 63, length: .microseconds(200_001))),
        Order(id: 4, bank: 0, .off), Order(id: 5, bank: 0, .check), Order(id: 6, bank: 0, .drop),
    ]
    private static let answers: [Answer] = [
        Answer(8, .off(after: .microseconds(7), isSeen: true)),
        Answer(1, .done), Answer(2, .on),
        Answer(3, .off(after: .microseconds(200_123), isSeen: nil)),
        Answer(4, .failed(broken, mayBeOn: true)), Answer(5, .stuck(gone)),
        Answer(6, .levels([true, false, nil])),
    ]

    @Test func `is understood as it was meant`() throws {
        for order in Self.orders {
            #expect(try Order(json: JSONReader.parse(order.json.text)) == order)
        }
        for answer in Self.answers {
            #expect(try Answer(json: JSONReader.parse(answer.json.text)) == answer)
        }
    }

    /// Nothing that is broken is ever an order to energise something else.
    @Test func `is refused when it is mutilated`() throws {
        var random = SeededGenerator(seed: 5)
        var taken = 0
        for _ in 0..<20_000 {
            let order = Self.orders[Int.random(in: 0..<Self.orders.count, using: &random)]
            var bytes = order.json.encoded
            for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
                let place = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[place] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: place)
                default: bytes = Array(bytes.prefix(place + 1))
                }
            }
            guard let json = try? JSONReader.parse(bytes), let read = try? Order(json: json) else {
                continue
            }
            taken += 1
            switch read.what {
            case .hold(let bank):
                #expect(1...LineSet.most ~= bank.lines.count && bank.chip.hasPrefix("/"))
                #expect(Set(bank.lines.map(\.offset)).count == bank.lines.count)
            case .pulse(let line, let length):
                #expect(0..<LineSet.most ~= line && length > .zero)
            case .off, .check, .drop: break
            }
        }
        #expect(taken > 100, "the fuzz is too rough to say anything")
    }
}
