package import GPIOLines
package import JSONLines

/// What a driver tells its guardian: one line of JSON each.
package struct Order: Sendable, Equatable {
    package enum What: Sendable, Equatable {
        /// Take these lines, all off, and keep them.
        case hold(Bank)
        /// Switch a line on, and off again after so long.
        case pulse(line: Int, length: Duration)
        /// Switch off whatever is on.
        case off
        /// Tell the levels of the lines.
        case check
        /// Switch off, and let go of the lines.
        case drop
    }

    /// Comes back with the answers.
    package let id: Int
    /// Which lines, by the driver's number for them.
    package let bank: Int
    package let what: What

    package init(id: Int, bank: Int, _ what: What) {
        self.id = id
        self.bank = bank
        self.what = what
    }
}

/// Lines of one chip that fire locks.
package struct Bank: Sendable, Equatable {
    package struct Line: Sendable, Equatable {
        package let offset: Int
        /// The level of the wire that fires the lock.
        package let onLevel: Bool

        package init(offset: Int, onLevel: Bool) {
            self.offset = offset
            self.onLevel = onLevel
        }
    }

    /// Path of the chip's device file.
    package let chip: String
    package let lines: [Line]
    package let wiring: Wiring
    /// Whether the level that does not fire is known to leave the locks alone. Until it is, a line is driven during a pulse only.
    package let isOffKnown: Bool
    /// The longest pulse, whatever is asked for.
    package let longest: Duration
    /// How the kernel calls who holds the lines.
    package let consumer: String

    package init(
        chip: String, lines: [Line], wiring: Wiring, isOffKnown: Bool, longest: Duration,
        consumer: String
    ) {
        self.chip = chip
        self.lines = lines
        self.wiring = wiring
        self.isOffKnown = isOffKnown
        self.longest = longest
        self.consumer = consumer
    }
}

/// What a guardian answers: one line of JSON each.
package struct Answer: Sendable, Equatable {
    package enum What: Sendable, Equatable {
        /// It was done.
        case done
        /// The line was switched on, and another answer follows.
        case on
        /// The line is off, and was on for so long; `isSeen`: whether it was read meanwhile and was on, nil where nobody looked.
        case off(after: Duration, isSeen: Bool?)
        /// It could not be done. With `mayBeOn` the line may have been switched on, and is being switched off.
        case failed(GPIOFailure, mayBeOn: Bool)
        /// A line cannot be switched off; it is tried again until it can. To an order that has been told `on` it is that one's line,
        /// and `off` follows; to any other it means that nothing was done because of it.
        case stuck(GPIOFailure)
        /// The levels of the lines, true where they fire; nil where nobody drives them.
        case levels([Bool?])
    }

    package let id: Int
    package let what: What

    package init(_ id: Int, _ what: What) {
        self.id = id
        self.what = what
    }
}

// MARK: As JSON

/// A line that is none of this protocol's.
package struct Nonsense: Error, Equatable {
    package let problem: String
}

/// Longest line, in bytes: a bank of as many lines as a request can take has about 3,000.
package let longestMessage = 16 * 1024

extension Order {
    package var json: JSON {
        var object: JSONObject = ["id": .int(Int64(id)), "bank": .int(Int64(bank))]
        switch what {
        case .hold(let bank):
            object["do"] = "hold"
            object["chip"] = .string(bank.chip)
            object["offsets"] = .array(bank.lines.map { .int(Int64($0.offset)) })
            object["on"] = .array(bank.lines.map { .bool($0.onLevel) })
            object["bias"] = .string(bank.wiring.bias.rawValue)
            object["drive"] = .string(bank.wiring.drive.rawValue)
            object["offKnown"] = .bool(bank.isOffKnown)
            object["longest"] = .int(bank.longest.microseconds)
            object["consumer"] = .string(bank.consumer)
        case .pulse(let line, let length):
            object["do"] = "pulse"
            object["line"] = .int(Int64(line))
            object["us"] = .int(length.microseconds)
        case .off: object["do"] = "off"
        case .check: object["do"] = "check"
        case .drop: object["do"] = "drop"
        }
        return .object(object)
    }

    package init(json: JSON) throws(Nonsense) {
        id = try json.number("id", 0...Int(Int32.max))
        bank = try json.number("bank", 0...255)
        switch json["do"]?.stringValue {
        case "hold": what = .hold(try Bank(json: json))
        case "pulse":
            what = .pulse(
                line: try json.number("line", 0...(LineSet.most - 1)),
                length: .microseconds(try json.number("us", 1...Int(Int32.max))))
        case "off": what = .off
        case "check": what = .check
        case "drop": what = .drop
        default: throw Nonsense(problem: "do is \(json["do"]?.text ?? "missing")")
        }
    }
}

extension Bank {
    fileprivate init(json: JSON) throws(Nonsense) {
        let offsets = json["offsets"]?.arrayValue?.compactMap(\.intValue) ?? []
        let levels = json["on"]?.arrayValue?.compactMap(\.boolValue) ?? []
        guard let chip = json["chip"]?.stringValue, chip.hasPrefix("/"),
            let bias = json["bias"]?.stringValue.flatMap(Wiring.Bias.init(rawValue:)),
            let drive = json["drive"]?.stringValue.flatMap(Wiring.Drive.init(rawValue:)),
            let isOffKnown = json["offKnown"]?.boolValue,
            let consumer = json["consumer"]?.stringValue,
            1...LineSet.most ~= offsets.count, offsets.count == levels.count,
            Set(offsets).count == offsets.count, offsets.allSatisfy({ 0...65_535 ~= $0 })
        else { throw Nonsense(problem: "no bank") }
        self.init(
            chip: chip,
            lines: zip(offsets, levels).map { Line(offset: $0, onLevel: $1) },
            wiring: Wiring(bias: bias, drive: drive), isOffKnown: isOffKnown,
            longest: .microseconds(try json.number("longest", 1...Int(Int32.max))),
            consumer: consumer)
    }
}

extension Answer {
    package var json: JSON {
        var object: JSONObject = ["id": .int(Int64(id))]
        func add(_ failure: GPIOFailure) {
            object["errno"] = .int(Int64(failure.number))
            object["text"] = .string(failure.description)
        }
        switch what {
        case .done: object["is"] = "done"
        case .on: object["is"] = "on"
        case .off(let length, let isSeen):
            object["is"] = "off"
            object["us"] = .int(length.microseconds)
            object["seen"] = isSeen.map { .bool($0) }
        case .failed(let failure, let mayBeOn):
            object["is"] = "failed"
            add(failure)
            object["mayBeOn"] = .bool(mayBeOn)
        case .stuck(let failure):
            object["is"] = "stuck"
            add(failure)
        case .levels(let levels):
            object["is"] = "levels"
            object["levels"] = .array(levels.map { $0.map { .bool($0) } ?? .null })
        }
        return .object(object)
    }

    package init(json: JSON) throws(Nonsense) {
        id = try json.number("id", 0...Int(Int32.max))
        switch json["is"]?.stringValue {
        case "done": what = .done
        case "on": what = .on
        case "off":
            what = .off(
                after: .microseconds(try json.number("us", 0...Int.max)),
                isSeen: json["seen"]?.boolValue)
        case "failed":
            what = .failed(try json.failure(), mayBeOn: json["mayBeOn"]?.boolValue ?? true)
        case "stuck": what = .stuck(try json.failure())
        case "levels":
            guard let levels = json["levels"]?.arrayValue else {
                throw Nonsense(problem: "no levels")
            }
            what = .levels(levels.map(\.boolValue))
        default: throw Nonsense(problem: "is \(json["is"]?.text ?? "missing")")
        }
    }
}

extension JSON {
    fileprivate func number(_ key: String, _ range: ClosedRange<Int>) throws(Nonsense) -> Int {
        guard let value = self[key]?.intValue, range.contains(value) else {
            throw Nonsense(problem: "\(key) is \(self[key]?.text ?? "missing")")
        }
        return value
    }

    fileprivate func failure() throws(Nonsense) -> GPIOFailure {
        GPIOFailure(
            Int32(clamping: try number("errno", 0...65_535)), self["text"]?.stringValue ?? "")
    }
}

extension Duration {
    package var microseconds: Int64 {
        components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000
    }
}
