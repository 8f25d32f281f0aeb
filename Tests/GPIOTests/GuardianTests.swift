import GPIOLines
import Testing

@testable import CoilGuardian

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
