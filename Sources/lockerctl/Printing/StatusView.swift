import ControlClient

/// A `status` reply as people read it.
struct StatusView {
    let status: SiteStatus
    var isColoured = false
    var width: Int?

    var lines: [String] {
        var out = [headline] + status.causes.flatMap(cause)
        for table in [controllers, Self.uplinks(status.uplinks, at: status.at), lockers] {
            let lines = table.lines(coloured: isColoured, width: width)
            if !lines.isEmpty { out += [""] + lines }
        }
        if !suspicions.isEmpty { out += [""] + suspicions }
        return out
    }

    /// A line for each sensor that is suspected: the table has room for a mark only.
    private var suspicions: [String] {
        sortedLockers.compactMap { locker -> String? in
            guard let suspicion = locker.suspicion else { return nil }
            let age =
                Words.between(suspicion.since, status.at).map { " for \(Words.age($0))" } ?? ""
            let text = "\(locker.address): sensor suspected\(age): \(suspicion.message)"
            return String(Output.clean(text).prefix(width ?? Int.max))
        }
    }

    private var sortedLockers: [LockerStatus] {
        status.lockers.sorted { ($0.id, $0.address) < ($1.id, $1.address) }
    }

    private var headline: String {
        let tone: Tone =
            switch status.health {
            case "ok": .good
            case "degraded": .warning
            default: .bad
            }
        return
            "\(Output.clean(status.site)): \(tone.paint(Output.clean(status.health), isColoured))"
    }

    private func cause(_ cause: HealthCause) -> [String] {
        let isNamed = cause.subject.isEmpty || cause.message.contains(cause.subject)
        let text = isNamed ? cause.message : "\(cause.subject): \(cause.message)"
        return Output.lines(text).map { String("  \($0)".prefix(width ?? Int.max)) }
    }

    private var controllers: Table { Self.controllers(status.controllers, at: status.at) }

    /// The table of controllers; `at` is the daemon's time, against which `since` is counted; nil shows it as it came.
    static func controllers(_ controllers: [ControllerStatus], at: String?) -> Table {
        var table = Table([
            .init(title: "CONTROLLER"), .init(title: "DRIVER"), .init(title: "LINK"),
            .init(title: "STATE"), .init(title: "SINCE", isNumber: true, isOptional: true),
            .init(title: "LAST GOOD", isNumber: true), .init(title: "RESTARTS", isNumber: true),
            .init(title: "LOCKERS", isNumber: true), .init(title: "REASON", isOptional: true),
        ])
        for controller in controllers.sorted(by: { $0.id < $1.id }) {
            let age = at.flatMap { Words.between(controller.since, $0) }
            let since = age.map { Words.age($0) } ?? controller.since ?? ""
            table.add([
                Cell(controller.id), Cell(controller.driver), Cell(controller.link),
                Cell(controller.state, tone(controller.state)), Cell(since),
                Cell(Words.age(controller.lastGoodMs)), Cell(String(controller.restarts)),
                Cell(String(controller.lockers)), Cell(controller.reason ?? ""),
            ])
        }
        return table
    }

    /// The table of uplinks, as that of controllers.
    static func uplinks(_ uplinks: [UplinkStatus], at: String?) -> Table {
        var table = Table([
            .init(title: "UPLINK"), .init(title: "MODULE", isOptional: true),
            .init(title: "STATE"), .init(title: "SINCE", isNumber: true, isOptional: true),
            .init(title: "LAST DELIVERED", isNumber: true),
            .init(title: "RESTARTS", isNumber: true), .init(title: "REASON", isOptional: true),
        ])
        for uplink in uplinks {
            let age = at.flatMap { Words.between(uplink.since, $0) }
            let since = age.map { Words.age($0) } ?? uplink.since ?? ""
            table.add([
                Cell(uplink.name), Cell(uplink.module ?? ""),
                Cell(uplink.state, tone(uplink.state)),
                Cell(since), Cell(Words.age(uplink.lastDeliveredMs)),
                Cell(String(uplink.restarts)), Cell(uplink.reason ?? ""),
            ])
        }
        return table
    }

    private static func tone(_ state: String) -> Tone {
        switch state {
        case "ready": .good
        case "starting": .warning
        default: .bad
        }
    }

    private var lockers: Table {
        var table = Table([
            .init(title: "LOCKER"), .init(title: "ID", isNumber: true),
            .init(title: "NAME", isOptional: true), .init(title: "BANK", isOptional: true),
            .init(title: "DOOR"), .init(title: "AGE", isNumber: true), .init(title: "SERVICE"),
            .init(title: "LAST OPEN"), .init(title: "CYCLES", isNumber: true),
            .init(title: "JAMS", isNumber: true, isOptional: true),
        ])
        for locker in sortedLockers {
            // A name that only repeats the number tells nothing.
            let name = locker.address.hasSuffix("/\(locker.name)") ? "" : locker.name
            table.add([
                Cell(locker.address), Cell(String(locker.id)), Cell(name), Cell(locker.bank ?? ""),
                markedDoor(locker),
                Cell(locker.quality == .none ? "" : Words.age(locker.doorAgeMs)),
                Self.service(locker), Cell(lastOpen(locker)), Cell(String(locker.cycles)),
                Cell(locker.jams > 0 ? String(locker.jams) : "", .warning),
            ])
        }
        return table
    }

    /// What the sensor says, with a question mark where it is suspected.
    private func markedDoor(_ locker: LockerStatus) -> Cell {
        let door = Self.door(locker)
        return locker.suspicion == nil ? door : Cell("\(door.text)?", .warning)
    }

    static func door(_ locker: LockerStatus) -> Cell {
        if locker.quality == .none { return "no sensor" }
        if locker.quality == .good {
            return Cell(locker.door.rawValue, locker.door == .open ? .warning : .plain)
        }
        let last = locker.lastDoor.map { ", was \($0.rawValue)" } ?? ""
        return Cell(locker.door.rawValue + last, .bad)
    }

    static func service(_ locker: LockerStatus) -> Cell {
        var words = flags(
            outOfService: locker.isOutOfService, reason: locker.reason,
            reasonCode: locker.reasonCode, brokenLock: locker.hasBrokenLock)
        if !locker.isOperational { words.append("cannot be fired") }
        return words.isEmpty ? "ok" : Cell(words.joined(separator: ", "), .warning)
    }

    /// Service flags in words; none where all is well.
    static func flags(
        outOfService: Bool, reason: String?, reasonCode: String?, brokenLock: Bool
    ) -> [String] {
        var words: [String] = []
        if outOfService {
            let why = [reason, reasonCode.map { "(\($0))" }].compactMap { $0 }
            words.append((["out of service"] + why).joined(separator: " "))
        }
        if brokenLock { words.append("broken lock") }
        return words
    }

    private func lastOpen(_ locker: LockerStatus) -> String {
        guard let last = locker.lastOpen else { return "never" }
        let age = Words.between(last.at, status.at).map { "\(Words.age($0)) ago" } ?? last.at
        return "\(last.outcome ?? "failed") \(age)"
    }
}
