package import GPIOLines

/// Lines that are driven; a test has its own.
package protocol OutputLines: AnyObject {
    /// Drives one line, by its place in the bank.
    func set(_ index: Int, to level: Bool) throws(GPIOFailure)
    func levels() throws(GPIOFailure) -> [Bool]
}

extension LineSet: OutputLines {}

extension OutputLines {
    /// Switches a line off and tells whether it is: many of the kernel's drivers have nothing to say of an order that did not reach
    /// the chip.
    ///
    /// - Parameter readsOn: whether it was seen on after an order like this. A chip's driver may take a level for written that it has
    ///   tried to write, and leave the same order out the next time (regmap with a cache, as that of the MCP23017); only another level
    ///   makes it write.
    package func switchOff(
        _ index: Int, from onLevel: Bool, readsOn: Bool
    ) throws(GPIOFailure) -> Bool {
        if readsOn { try set(index, to: onLevel) }
        try set(index, to: !onLevel)
        return try levels()[index] != onLevel
    }
}

/// Where a guardian gets lines from.
package protocol LineSource {
    /// The lines of the bank with these places, driven at `levels`.
    func drive(_ places: [Int], of bank: Bank, at levels: [Bool]) throws(GPIOFailure)
        -> any OutputLines
    /// Makes an input of this one, so that nothing drives it for as long as what this returns is held.
    func rest(_ place: Int, of bank: Bank) throws(GPIOFailure) -> any OutputLines
}

/// Switches lines on for a driver, and off again whatever becomes of the driver.
///
/// It alone holds the lines and counts their time. It knows no clock and no file: who runs it tells it when, and what came.
package struct Guardian {
    package typealias Instant = ContinuousClock.Instant

    /// No pulse is longer, whoever asks. The core's own cap is the same.
    package static let longestPulse: Duration = .seconds(5)
    /// How long a line that cannot be switched off waits for the end of a pulse that can: each try at a chip that hangs may keep
    /// this thread for as long as its bus takes to say so.
    static let patience: Duration = .seconds(1)

    private struct Held {
        let bank: Bank
        /// Nil where the lines are not driven between pulses.
        var lines: (any OutputLines)?
        /// Then they are inputs meanwhile.
        var resting: [Int: any OutputLines] = [:]
    }

    /// A line that only a pulse may drive, and that could not be made an input afterwards.
    private struct Unrested {
        let number: Int
        let bank: Bank
        let line: Int
        let tries: Int
        let failure: GPIOFailure
        let due: Instant
    }

    private let source: any LineSource
    private var held: [Int: Held] = [:]
    private var pulses: [Pulse] = []
    private var unrested: [Unrested] = []

    package init(_ source: any LineSource) { self.source = source }

    /// When something is to be done, whether or not an order comes.
    package var nextDue: Instant? {
        let isOneWell = pulses.contains { $0.trouble == nil }
        let ends = pulses.map { $0.isStuck && isOneWell ? $0.endsAt + Self.patience : $0.endsAt }
        return (ends + pulses.compactMap(\.looksAt) + unrested.map(\.due)).min()
    }

    /// Whether a line is on, or may be.
    package var isOn: Bool { !pulses.isEmpty || unrested.contains { !$0.failure.isTaken } }

    package mutating func carryOut(_ order: Order, at now: Instant) -> [Answer] {
        switch order.what {
        case .hold(let bank): [Answer(order.id, hold(bank, order.bank))]
        case .pulse(let line, let length): pulse(order, line, length, now)
        case .off: endAll(of: order.bank, now) + [Answer(order.id, .done)]
        case .check: [Answer(order.id, check(order.bank))]
        case .drop: drop(order, now)
        }
    }

    /// Ends the pulses that are over.
    package mutating func pass(_ now: Instant) -> [Answer] {
        for index in pulses.indices where pulses[index].endsAt > now {
            if let moment = pulses[index].looksAt, moment <= now { pulses[index].look() }
        }
        let isOneRunning = pulses.contains { $0.trouble == nil && $0.endsAt > now }
        let answers = end(now) { pulse in
            let due = pulse.isStuck && isOneRunning ? pulse.endsAt + Self.patience : pulse.endsAt
            return due <= now
        }
        restAgain(now) { $0.due <= now }
        return answers
    }

    /// Ends all pulses: nobody is left to ask for them.
    package mutating func endAll(at now: Instant) -> [Answer] {
        let answers = end(now) { _ in true }
        restAgain(now) { _ in true }
        return answers
    }
}

// MARK: Banks

extension Guardian {
    private mutating func hold(_ bank: Bank, _ number: Int) -> Answer.What {
        guard held[number] == nil else {
            return .failed(GPIOFailure(busy, "bank \(number) is held already"), mayBeOn: false)
        }
        if let failure = trouble(of: number) { return .stuck(failure) }
        // Whoever took those is named by what follows.
        unrested.removeAll { $0.number == number }
        let places = Array(bank.lines.indices)
        do throws(GPIOFailure) {
            var entry = Held(bank: bank)
            if bank.isOffKnown {
                entry.lines = try source.drive(
                    places, of: bank, at: bank.lines.map { !$0.onLevel })
            } else {
                for place in places { entry.resting[place] = try source.rest(place, of: bank) }
            }
            held[number] = entry
            return .done
        } catch {
            return .failed(error, mayBeOn: false)
        }
    }

    private mutating func drop(_ order: Order, _ now: Instant) -> [Answer] {
        let answers = endAll(of: order.bank, now)
        // Whatever is stuck keeps its lines until it is off.
        held[order.bank] = nil
        return answers + [Answer(order.id, .done)]
    }

    private func check(_ number: Int) -> Answer.What {
        guard let entry = held[number] else { return .failed(notHeld(number), mayBeOn: false) }
        if let failure = trouble(of: number) { return .stuck(failure) }
        do throws(GPIOFailure) {
            guard let lines = entry.lines else {
                // Read to see that the chip is there; what the level of an undriven line means nobody knows.
                for place in entry.bank.lines.indices { try look(at: place, of: entry, number) }
                return .levels(entry.bank.lines.map { _ in nil })
            }
            let levels = try lines.levels()
            return .levels(zip(levels, entry.bank.lines).map { $0 == $1.onLevel })
        } catch {
            return .failed(error, mayBeOn: false)
        }
    }

    private func look(at place: Int, of entry: Held, _ number: Int) throws(GPIOFailure) {
        if let line = entry.resting[place] {
            _ = try line.levels()
        } else if !pulses.contains(where: { $0.number == number && $0.line == place }) {
            let why = unrested.first { $0.number == number && $0.line == place }?.failure
            throw why
                ?? GPIOFailure(gone, "line \(entry.bank.lines[place].offset) is not held any more")
        }
    }

    /// Why a line of this bank is on, or may be, that should not.
    private func trouble(of number: Int) -> GPIOFailure? {
        pulses.first { $0.number == number && $0.trouble != nil }?.trouble
            ?? unrested.first { $0.number == number && !$0.failure.isTaken }?.failure
    }

    private func notHeld(_ number: Int) -> GPIOFailure {
        GPIOFailure(invalid, "bank \(number) is not held")
    }

    /// EBUSY, ENODEV and EINVAL, as every Linux numbers them.
    private var busy: Int32 { 16 }
    private var gone: Int32 { 19 }
    private var invalid: Int32 { 22 }
}

// MARK: Pulses

extension Guardian {
    private mutating func pulse(
        _ order: Order, _ line: Int, _ length: Duration, _ now: Instant
    ) -> [Answer] {
        guard let bank = held[order.bank]?.bank else {
            return [Answer(order.id, .failed(notHeld(order.bank), mayBeOn: false))]
        }
        if let failure = trouble(of: order.bank) { return [Answer(order.id, .stuck(failure))] }
        let longest = min(bank.longest, Self.longestPulse)
        guard bank.lines.indices.contains(line), length > .zero, length <= longest else {
            let text = "a pulse of \(length) on line \(line); want at most \(longest)"
            return [Answer(order.id, .failed(GPIOFailure(invalid, text), mayBeOn: false))]
        }
        guard !pulses.contains(where: { $0.number == order.bank && $0.line == line }) else {
            let text = "line \(line) of bank \(order.bank) is on already"
            return [Answer(order.id, .failed(GPIOFailure(busy, text), mayBeOn: false))]
        }
        do throws(GPIOFailure) {
            guard let shared = held[order.bank]?.lines else {
                // The last one who holds it as an input: it could not be taken as an output otherwise.
                held[order.bank]?.resting[line] = nil
                // Driven from its first moment at the level that fires: whether the other one does not is what nobody knows.
                let own = try source.drive([line], of: bank, at: [bank.lines[line].onLevel])
                pulses.append(
                    Pulse(order, line, of: bank, on: own, at: 0, from: now, to: now + length))
                return [Answer(order.id, .on)]
            }
            var pulse = Pulse(
                order, line, of: bank, on: shared, at: line, from: now, to: now + length)
            do throws(GPIOFailure) {
                try shared.set(line, to: pulse.onLevel)
                pulses.append(pulse)
                return [Answer(order.id, .on)]
            } catch {
                // A write that failed may have reached the chip all the same.
                pulse.endsAt = now
                pulse.isReported = true
                pulses.append(pulse)
                return [Answer(order.id, .failed(error, mayBeOn: !error.isGone))] + pass(now)
            }
        } catch {
            // A request that somebody else's hold or a wrong wish has stopped has touched nothing; any other may have driven the line.
            let isUntouched = error.isTaken || error.isGone || error.number == invalid
            rest(line, order.bank, bank, now)
            return [Answer(order.id, .failed(error, mayBeOn: !isUntouched))]
        }
    }

    private mutating func endAll(of bank: Int, _ now: Instant) -> [Answer] {
        end(now) { $0.number == bank }
    }

    /// Ends those that are over, those first that nothing was wrong with.
    private mutating func end(_ now: Instant, _ isOver: (Pulse) -> Bool) -> [Answer] {
        var answers: [Answer] = []
        var left = pulses.filter { !isOver($0) }
        var ended: [Pulse] = []
        for var pulse in pulses.filter(isOver).sorted(by: { $0.tries < $1.tries }) {
            let wasStuck = pulse.isStuck
            if pulse.switchOff(at: now) {
                ended.append(pulse)
                guard !pulse.isReported else { continue }
                let length = pulse.beganAt.duration(to: now)
                answers.append(Answer(pulse.id, .off(after: length, isSeen: pulse.isSeen)))
            } else if let failure = pulse.trouble, failure.isGone {
                // A chip that is gone drives nothing that could be switched off from here.
                ended.append(pulse)
                guard !pulse.isReported else { continue }
                answers.append(Answer(pulse.id, .failed(failure, mayBeOn: true)))
            } else {
                if let failure = pulse.trouble, pulse.isStuck, !wasStuck {
                    answers.append(Answer(pulse.id, .stuck(failure)))
                }
                left.append(pulse)
            }
        }
        pulses = left
        let lines = ended.map { (line: $0.line, number: $0.number, bank: $0.bank) }
        // Lets go of the lines that only a pulse drove.
        ended = []
        for (line, number, bank) in lines { rest(line, number, bank, now) }
        return answers
    }

    /// Makes an input of a line that only a pulse drives.
    private mutating func rest(
        _ line: Int, _ number: Int, _ bank: Bank, _ now: Instant, tries: Int = 0
    ) {
        guard !bank.isOffKnown else { return }
        do throws(GPIOFailure) {
            let token = try source.rest(line, of: bank)
            held[number]?.resting[line] = token
        } catch {
            guard !error.isGone else { return }
            unrested.append(
                Unrested(
                    number: number, bank: bank, line: line, tries: tries + 1, failure: error,
                    due: now + Pulse.pause(after: tries + 1)))
        }
    }

    private mutating func restAgain(_ now: Instant, _ isDue: (Unrested) -> Bool) {
        let due = unrested.filter(isDue)
        unrested.removeAll(where: isDue)
        for one in due { rest(one.line, one.number, one.bank, now, tries: one.tries) }
    }
}
