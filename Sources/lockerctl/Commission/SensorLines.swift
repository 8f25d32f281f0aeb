import JSONLines
import SiteModel

/// Where a locker's sensor is wired, as its link file would have to say it.
struct SensorLine: Equatable {
    /// `input` or `input_name`.
    let key: String
    let value: JSON
    let isInverted: Bool

    /// The line of a locker's sensor; nil where its driver's files have no key for that.
    init?(of locker: LockerPlan, on controller: ControllerPlan, driver: String) {
        isInverted = locker.options["sensor_inverted"]?.boolValue ?? false
        if let name = locker.options["input_name"] {
            (key, value) = ("input_name", name)
            return
        }
        key = "input"
        if let line = locker.options["input"] {
            value = line
            return
        }
        switch driver {
        case "gpio-expander":
            guard let first = controller.options["first_input"]?.intValue else { return nil }
            value = .int(Int64(first + locker.number - 1))
        case "modbus":
            guard let doors = controller.board["doors"],
                let read = doors["read"]?.stringValue, read != "none"
            else { return nil }
            let first = doors["first"]?.intValue ?? 0
            // In registers a sensor is counted as register x 16 + bit.
            let isRegister = read.hasSuffix("registers")
            let step = isRegister ? 16 / (doors["per_register"]?.intValue ?? 16) : 1
            value = .int(Int64((isRegister ? first * 16 : first) + (locker.number - 1) * step))
        default: return nil
        }
    }
}

/// One key of the link file that a commissioning changes.
struct Change: Equatable {
    let locker: Int?
    let key: String
    /// Nil where the key has to go.
    let value: JSON?
}

/// What the observations say about the link file.
struct Lessons {
    private(set) var changes: [Change] = []
    /// What is wrong and cannot be said in the file.
    private(set) var remarks: [String] = []

    init(
        _ observations: [Observation], labels: [Int: String], controller: ControllerPlan,
        driver: String
    ) {
        let rings = Self.rings(observations)
        for observation in observations {
            switch observation.verdict {
            case .inverted: invert(observation.number, controller, driver)
            case .crossed(let other, let isInverted):
                let isOwn = controller.lockers.contains { "\(controller.id)/\($0.number)" == other }
                guard rings.contains(observation.address) || !isOwn else {
                    remarks.append(
                        "\(observation.address): the sensor of \(other) moved, and it is not known whose lock moves what else; commission both together, or put the wires right"
                    )
                    continue
                }
                cross(observation, other, isInverted, controller, driver)
            default: break
            }
        }
        for (number, label) in labels.sorted(by: { $0.key < $1.key }) {
            changes.append(Change(locker: number, key: "name", value: .string(label)))
        }
        // Once it is known, all lines are driven for good: each of them has to have shown that its lock fires at its level.
        let proven = Set(observations.filter(\.provesItsLock).map(\.number))
        if controller.lockers.allSatisfy({ proven.contains($0.number) }),
            controller.options["polarity_known"]?.boolValue == false
        {
            changes.append(Change(locker: nil, key: "polarity_known", value: true))
        }
    }

    /// The lockers whose sensors are exchanged among themselves: A moves B's, B moves C's, C moves A's.
    ///
    /// Only those can be told otherwise in the file: a sensor has one locker, and where A is given B's and B is not known to have
    /// another, both would be said to have the same one.
    private static func rings(_ observations: [Observation]) -> Set<String> {
        var moves: [String: String] = [:]
        for observation in observations {
            if case .crossed(let other, _) = observation.verdict {
                moves[observation.address] = other
            }
        }
        // A sensor that two locks move says that one of them was not seen right.
        let movers = observations.flatMap { $0.moves.map(\.address) }
            .reduce(into: [String: Int]()) { $0[$1, default: 0] += 1 }
        return Set(
            moves.keys.filter { start in
                var seen: Set<String> = []
                var at = start
                while let next = moves[at], movers[next] == 1, seen.insert(at).inserted {
                    at = next
                }
                return at == start && !seen.isEmpty
            })
    }

    private mutating func invert(_ number: Int, _ controller: ControllerPlan, _ driver: String) {
        guard ["gpio-expander", "modbus", "serial-board"].contains(driver),
            let locker = controller.lockers.first(where: { $0.number == number })
        else {
            remarks.append(
                "\(controller.id)/\(number): a sensor of driver \(driver) cannot be turned round in a file"
            )
            return
        }
        let isInverted = locker.options["sensor_inverted"]?.boolValue ?? false
        changes.append(
            Change(locker: number, key: "sensor_inverted", value: .bool(!isInverted)))
    }

    private mutating func cross(
        _ observation: Observation, _ other: String, _ isInverted: Bool,
        _ controller: ControllerPlan, _ driver: String
    ) {
        let owner = controller.lockers.first { "\(controller.id)/\($0.number)" == other }
        guard let owner, let line = SensorLine(of: owner, on: controller, driver: driver) else {
            remarks.append(
                "\(observation.address): the sensor of \(other) is wired to it; put the wires right, the file cannot say it"
            )
            return
        }
        changes.append(Change(locker: observation.number, key: line.key, value: line.value))
        let own = controller.lockers.first { $0.number == observation.number }
        let otherKey = line.key == "input" ? "input_name" : "input"
        if own?.options[otherKey] != nil {
            changes.append(Change(locker: observation.number, key: otherKey, value: nil))
        }
        let now = own?.options["sensor_inverted"]?.boolValue
        let wanted = line.isInverted != isInverted
        if wanted != (now ?? false) {
            changes.append(
                Change(locker: observation.number, key: "sensor_inverted", value: .bool(wanted)))
        }
    }
}
