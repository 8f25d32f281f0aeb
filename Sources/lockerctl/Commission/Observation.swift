import ControlClient

/// What was seen when one lock was fired.
struct Observation {
    /// What it comes to.
    enum Verdict: Equatable {
        /// Its own sensor saw the door open.
        case works
        /// It has no sensor; a person saw the door open, or nobody was there to see.
        case unseen(byPerson: Bool)
        /// Its own sensor says open when the door is closed and the other way round.
        case inverted
        /// Another locker's sensor moved instead, the right way round or not.
        case crossed(with: String, isInverted: Bool)
        /// Several doors moved.
        case several([String])
        /// Its sensor tells nothing.
        case noReading
        /// Nothing moved. A person may have seen which it is.
        case still(doorOpened: Bool?)
        /// It was not fired.
        case refused(String)
        /// It was fired, or may have been, and something went wrong.
        case troubled(String)

        /// For programs.
        var word: String {
            switch self {
            case .works: "works"
            case .unseen: "unseen"
            case .inverted: "inverted"
            case .crossed(_, false): "crossed"
            case .crossed(_, true): "crossed-inverted"
            case .several: "several"
            case .noReading: "sensor-missing"
            case .still(true): "sensor-missing"
            case .still(false): "lock-dead"
            case .still(nil): "no-movement"
            case .refused: "refused"
            case .troubled: "troubled"
            }
        }

        /// Whether a change of the file makes it right.
        var isMendable: Bool {
            switch self {
            case .inverted, .crossed: true
            default: false
            }
        }

        var isGood: Bool {
            switch self {
            case .works, .unseen: true
            default: false
            }
        }
    }

    /// A sensor that changed while the lock was fired.
    struct Move: Equatable {
        let address: String
        /// What it says of its door since then.
        let door: Door
        let afterMs: Double
    }

    let address: String
    let number: Int
    let hasSensor: Bool
    let before: Door
    let result: LockerResult?
    let refusal: String?
    /// What went wrong although it was fired, or may have been.
    let trouble: String?
    let moves: [Move]
    /// What a person said when he was asked whether the door had opened.
    var doorOpened: Bool?
    /// Whether what moved has moved back. A sensor that says closed and stays so was not inverted: somebody closed a door.
    var cameBack = true

    var verdict: Verdict {
        if let refusal { return .refused(refusal) }
        if let trouble { return .troubled(trouble) }
        let own = moves.first { $0.address == address }
        let others = moves.filter { $0.address != address }
        if moves.count > 1 { return .several(moves.map(\.address)) }
        if moves.contains(where: { $0.door == .closed }), !cameBack {
            return .still(doorOpened: doorOpened)
        }
        if let own { return own.door == .open ? .works : .inverted }
        if let other = others.first {
            // A lock without a sensor of its own moves nobody's.
            guard hasSensor else { return .several([other.address]) }
            return .crossed(with: other.address, isInverted: other.door == .closed)
        }
        guard hasSensor else {
            if doorOpened == false { return .still(doorOpened: false) }
            return .unseen(byPerson: doorOpened == true)
        }
        // A door that is seen open in less time than it takes to look.
        if result?.outcome == .opened || result?.outcome == .openedLate { return .works }
        if doorOpened == nil, before == .unknown { return .noReading }
        return .still(doorOpened: doorOpened)
    }

    /// Whether this shows that its lock was moved by its line, and by the level that its file says.
    var provesItsLock: Bool {
        switch verdict {
        case .works, .inverted, .unseen(byPerson: true), .still(doorOpened: true): true
        // Another controller's door may be in use.
        case .crossed(let other, _): other.hasPrefix(address.prefix { $0 != "/" } + "/")
        default: false
        }
    }

    /// From the pulse to the sensor's change, where one was seen.
    var doorMs: Double? {
        if case .works = verdict { return result?.doorMs ?? moves.first?.afterMs }
        return moves.first?.afterMs
    }

    /// For people, what to do included.
    var sentence: String {
        let time = doorMs.map { " after \(Int($0)) ms" } ?? ""
        switch verdict {
        case .works: return "ok, its door opened\(time)"
        case .unseen(true): return "ok, its door opened; it has no sensor"
        case .unseen(false): return "fired; it has no sensor, and nobody was asked"
        case .inverted: return "its sensor is inverted: it said closed\(time)"
        case .crossed(let other, let isInverted):
            return "crossed: the sensor of \(other) moved\(time)"
                + (isInverted ? ", and it is inverted" : "")
        case .several(let all):
            return
                "more than one sensor moved (\(all.joined(separator: ", "))): look for locks or sensors on one wire"
        case .noReading:
            return
                "its sensor is missing: it told nothing, before or after; or its file says nothing of open_level"
        case .still(true): return "its sensor is missing: the door opened and it did not move"
        case .still(false):
            return "the lock is dead: nothing opened; look at its wires and its supply"
        case .still(nil) where before == .open:
            return
                "its door was open before and after: close it and fire this one again, or look at lock and sensor"
        case .still(nil):
            return "nothing moved: the lock is dead, its door is held, or its sensor is missing"
        case .refused(let why): return "not fired: \(why)"
        case .troubled(let why): return "fired, or perhaps so, and then: \(why)"
        }
    }
}
