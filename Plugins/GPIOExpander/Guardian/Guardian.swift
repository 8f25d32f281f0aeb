package import GPIOLines

/// Lines that are driven; a test has its own.
package protocol OutputLines: AnyObject {
    /// Drives one line, by its place in the bank.
    func set(_ index: Int, to level: Bool) throws(GPIOFailure)
    func levels() throws(GPIOFailure) -> [Bool]
}

extension LineSet: OutputLines {}

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
    /// Between two tries to switch off what could not be.
    static let pause: Duration = .milliseconds(10)

    private struct Pulse {
        let id: Int
        let bank: Int
        let line: Int
        let onLevel: Bool
        /// What drives it, with its place there.
        let lines: any OutputLines
        let place: Int
        let beganAt: Instant
        var endsAt: Instant
        var isStuck = false
        /// Its driver has been told that it is over, in one way or another.
        var isReported = false
    }

    private struct Held {
        let bank: Bank
        /// Nil where the lines are not driven between pulses.
        var lines: (any OutputLines)?
        /// Then they are inputs meanwhile.
        var resting: [Int: any OutputLines] = [:]
    }

    private let source: any LineSource
    private var held: [Int: Held] = [:]
    private var pulses: [Pulse] = []

    package init(_ source: any LineSource) { self.source = source }

    /// When something is to be done, whether or not an order comes.
    package var nextDue: Instant? { pulses.map(\.endsAt).min() }

    /// Whether a line is on, or may be.
    package var isOn: Bool { !pulses.isEmpty }

    package mutating func carryOut(_ order: Order, at now: Instant) -> [Answer] {
        switch order.what {
        case .hold(let bank): [Answer(order.id, hold(bank, order.bank, now))]
        case .pulse(let line, let length): pulse(order, line, length, now)
        case .off: endAll(of: order.bank, now) + [Answer(order.id, .done)]
        case .check: [Answer(order.id, check(order.bank))]
        case .drop: drop(order, now)
        }
    }

    /// Ends the pulses that are over.
    package mutating func pass(_ now: Instant) -> [Answer] {
        end(now) { $0.endsAt <= now }
    }

    /// Ends all pulses: nobody is left to ask for them.
    package mutating func endAll(at now: Instant) -> [Answer] { end(now) { _ in true } }

    // MARK: Banks

    private mutating func hold(_ bank: Bank, _ number: Int, _ now: Instant) -> Answer.What {
        guard held[number] == nil else {
            return .failed(GPIOFailure(busy, "bank \(number) is held already"), mayBeOn: false)
        }
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
        do throws(GPIOFailure) {
            guard let lines = entry.lines else {
                // Read to see that the chip is there; what the level of an undriven line means nobody knows.
                for line in entry.resting.values { _ = try line.levels() }
                return .levels(entry.bank.lines.map { _ in nil })
            }
            let levels = try lines.levels()
            return .levels(zip(levels, entry.bank.lines).map { $0 == $1.onLevel })
        } catch {
            return .failed(error, mayBeOn: false)
        }
    }

    // MARK: Pulses

    private mutating func pulse(
        _ order: Order, _ line: Int, _ length: Duration, _ now: Instant
    ) -> [Answer] {
        guard let entry = held[order.bank] else {
            return [Answer(order.id, .failed(notHeld(order.bank), mayBeOn: false))]
        }
        let longest = min(entry.bank.longest, Self.longestPulse)
        guard entry.bank.lines.indices.contains(line), length > .zero, length <= longest else {
            let text = "a pulse of \(length) on line \(line); want at most \(longest)"
            return [Answer(order.id, .failed(GPIOFailure(invalid, text), mayBeOn: false))]
        }
        guard !pulses.contains(where: { $0.bank == order.bank && $0.line == line }) else {
            let text = "line \(line) of bank \(order.bank) is on already"
            return [Answer(order.id, .failed(GPIOFailure(busy, text), mayBeOn: false))]
        }
        let onLevel = entry.bank.lines[line].onLevel
        do throws(GPIOFailure) {
            let lines: any OutputLines
            if let shared = entry.lines {
                lines = shared
            } else {
                held[order.bank]?.resting[line] = nil
                // Driven from its first moment at the level that fires: whether the other one does not is what nobody knows.
                lines = try source.drive([line], of: entry.bank, at: [onLevel])
            }
            var pulse = Pulse(
                id: order.id, bank: order.bank, line: line, onLevel: onLevel, lines: lines,
                place: entry.lines == nil ? 0 : line, beganAt: now, endsAt: now + length)
            guard entry.lines != nil else {
                pulses.append(pulse)
                return [Answer(order.id, .on)]
            }
            do throws(GPIOFailure) {
                try lines.set(line, to: onLevel)
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
            // A line that could not be requested was not driven.
            rest(line, order.bank)
            return [Answer(order.id, .failed(error, mayBeOn: false))]
        }
    }

    private mutating func rest(_ line: Int, _ number: Int) {
        guard let entry = held[number], entry.lines == nil else { return }
        let token = try? source.rest(line, of: entry.bank)
        held[number]?.resting[line] = token
    }

    private mutating func endAll(of bank: Int, _ now: Instant) -> [Answer] {
        end(now) { $0.bank == bank }
    }

    private mutating func end(_ now: Instant, _ isOver: (Pulse) -> Bool) -> [Answer] {
        var answers: [Answer] = []
        var left: [Pulse] = []
        var over: [Pulse] = []
        for var pulse in pulses {
            guard isOver(pulse) else {
                left.append(pulse)
                continue
            }
            do throws(GPIOFailure) {
                try pulse.lines.set(pulse.place, to: !pulse.onLevel)
                over.append(pulse)
                if !pulse.isReported {
                    answers.append(
                        Answer(pulse.id, .off(after: pulse.beganAt.duration(to: now))))
                }
            } catch {
                // A chip that is gone drives nothing that could be switched off from here.
                if error.isGone {
                    if !pulse.isReported {
                        answers.append(Answer(pulse.id, .failed(error, mayBeOn: true)))
                    }
                    over.append(pulse)
                    continue
                }
                if !pulse.isStuck { answers.append(Answer(pulse.id, .stuck(error))) }
                pulse.isStuck = true
                pulse.endsAt = now + Self.pause
                left.append(pulse)
            }
        }
        pulses = left
        let ended = over.map { (line: $0.line, bank: $0.bank) }
        // Lets go of the lines that only a pulse drove.
        over = []
        for (line, bank) in ended { rest(line, bank) }
        return answers
    }

    private func notHeld(_ number: Int) -> GPIOFailure {
        GPIOFailure(invalid, "bank \(number) is not held")
    }

    /// EBUSY and EINVAL, as every Linux numbers them.
    private var busy: Int32 { 16 }
    private var invalid: Int32 { 22 }
}
