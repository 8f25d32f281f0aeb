import ControlClient
import JSONLines

/// An event as people read it.
enum EventLine {
    /// Members that stand first, and those that only programs want.
    private static let left: Set<String> = [
        "seq", "at", "type", "locker", "controller", "timing", "attempts",
    ]

    /// `2026-11-21T08:15:30.042Z  12  door.opened  wall/3`, then the other members as `name=value`, or what they mean where that
    /// is not plain from their names.
    static func text(_ event: SiteEvent) -> String {
        var parts = [event.at, String(event.seq), event.type]
        if let subject = event.locker?.address ?? event.controller { parts.append(subject) }
        if let meaning = meaning(event) { return (parts + [meaning]).joined(separator: "  ") }
        for member in event.members.objectValue?.members ?? []
        where !left.contains(member.key) && member.value != .null && member.value != [] {
            let value = value(member.value)
            parts.append("\(member.key)=\(value.contains(" ") ? "\"\(value)\"" : value)")
        }
        return parts.joined(separator: "  ")
    }

    /// What a door or its sensor did, in words; nil for other events, and where a member that is needed is missing.
    private static func meaning(_ event: SiteEvent) -> String? {
        func span(_ name: String) -> String? {
            event.members[name]?.doubleValue.map(Words.longSpan)
        }
        func text(_ name: String) -> String? { event.members[name]?.stringValue }
        switch event.type {
        case "door.opened":
            guard event.members["late"]?.boolValue == true, let operation = text("operation"),
                let time = span("doorMs")
            else { return nil }
            return "late, \(time) after \(operation) fired; it is \(text("outcome") ?? "") now"
        case "door.closed": return span("openMs").map { "had stood open for \($0)" }
        case "door.forced":
            return "opened without a pulse; "
                + (span("sinceLastPulseMs").map { "the last one was \($0) before" }
                    ?? "it has had none since lockerd started")
        case "door.held":
            guard let open = span("openMs"), let limit = span("limitMs") else { return nil }
            return "stands open for \(open); the limit is \(limit)"
        case "controller.event":
            guard let kind = text("kind"), let at = text("deviceAt") else { return nil }
            let figures = event.members["figures"]?.objectValue?.members ?? []
            return "\(kind) at \(at) by its own clock"
                + figures.map { ", \($0.key) \($0.value.text)" }.joined()
        case "controller.parcel":
            guard let first = event.members["first"]?.intValue,
                let last = event.members["last"]?.intValue
            else { return nil }
            return "entries \(first) to \(last) of its log, sealed for its server"
        case "sensor.suspect":
            guard let message = event.members["suspicion"]?["message"]?.stringValue else {
                return "not suspected any more"
            }
            return "\(message); look at it, or mark the lock broken"
        case "events.dropped":
            guard let from = event.members["from"]?.intValue, let to = event.members["to"]?.intValue
            else { return nil }
            return "\(from) to \(to) will not come" + (text("reason").map { ": \($0)" } ?? "")
        default: return nil
        }
    }

    /// A cause or an error is shown by its message, anything larger by its parts.
    private static func value(_ json: JSON) -> String {
        switch json {
        case .string(let text): text
        case .array(let values): values.map(value).joined(separator: "; ")
        case .object(let object):
            object["message"]?.stringValue ?? LockerName(json)?.address
                ?? object.members.map { "\($0.key) \(value($0.value))" }.joined(separator: ", ")
        default: json.text
        }
    }
}
