import CoreForms
import JSONLines
import LockerCore
import LockerKit
import SiteModel

// How the journal keeps what no client sees in this form. Short, because a large site has ten thousand lockers, and all of
// them are read before the daemon is ready.

extension KeptLocker {
    /// What differs from a locker that nobody has touched yet.
    var json: JSON {
        var members = JSONObject()
        if service != ServiceState() { members["service"] = .object(service.members) }
        if let lastOpen {
            members["last"] = [
                .string(lastOpen.operation), .int(lastOpen.at.milliseconds),
                lastOpen.outcome.map { .string($0.rawValue) } ?? .null,
            ]
        }
        if wear != Wear() { members["wear"] = wear.json }
        if let coil {
            members["coil"] = [
                .int(coil.heat.nanoseconds), .int(coil.atMs), .string(coil.machineBoot),
                .int(Int64(coil.recent)),
            ]
        }
        return .object(members)
    }

    /// The locker that ``json`` was made of; what cannot be read of it counts as untouched.
    init(json: JSON) {
        self.init()
        if let service = json["service"] { self.service = ServiceState(json: service) }
        if let last = json["last"]?.arrayValue, last.count == 3,
            let operation = last[0].stringValue, let at = last[1].intValue
        {
            lastOpen = LastOpen(
                operation: operation, at: WallTime(milliseconds: Int64(at)),
                outcome: last[2].stringValue.flatMap(Outcome.init))
        }
        if let wear = json["wear"]?.arrayValue { self.wear = Wear(wear) }
        if let coil = json["coil"]?.arrayValue, coil.count == 4, let heat = coil[0].intValue,
            let at = coil[1].intValue, let boot = coil[2].stringValue,
            let recent = coil[3].intValue
        {
            self.coil = KeptCoil(
                heat: .nanoseconds(heat), atMs: Int64(at), machineBoot: boot,
                recent: max(0, recent))
        }
    }
}

extension Duration {
    /// Whole nanoseconds, at most what 64 bits hold.
    fileprivate var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? (seconds < 0 ? .min : .max) : whole &+ attoseconds / 1_000_000_000
    }
}

extension Wear {
    /// Cycles, jams; then of doors the count, the sum, the longest, and each class that is not empty with its place.
    fileprivate var json: JSON {
        var items: [JSON] = [.int(Int64(cycles)), .int(Int64(jams))]
        guard doorTimes.count > 0 else { return .array(items) }
        items += [
            .int(Int64(doorTimes.count)), .double(doorTimes.sumMs), .double(doorTimes.longestMs),
        ]
        for (place, count) in doorTimes.classes.enumerated() where count > 0 {
            items += [.int(Int64(place)), .int(Int64(count))]
        }
        return .array(items)
    }

    fileprivate init(_ items: [JSON]) {
        self.init()
        guard items.count >= 2 else { return }
        cycles = Self.count(items[0]) ?? 0
        jams = Self.count(items[1]) ?? 0
        guard items.count > 5, items.count % 2 == 1, let count = Self.count(items[2]),
            let sum = items[3].doubleValue, let longest = items[4].doubleValue
        else { return }
        var classes = Array(repeating: 0, count: DoorTimes.bounds.count)
        for index in stride(from: 5, to: items.count, by: 2) {
            guard let place = items[index].intValue, classes.indices.contains(place),
                let doors = Self.count(items[index + 1])
            else { return }
            classes[place] = doors
        }
        if let times = DoorTimes(count: count, sumMs: sum, longestMs: longest, classes: classes) {
            doorTimes = times
        }
    }
}

extension Wear {
    /// A number that can be counted on from; nil for any other.
    private static func count(_ value: JSON) -> Int? {
        value.intValue.flatMap { (0..<(1 << 53)).contains($0) ? $0 : nil }
    }
}

/// The lockers of an operation, in order, as one JSON array: id, address, id, address, …
enum LockerList {
    static func text(_ lockers: [LockerIdentity]) -> String {
        var writer = JSONWriter(reserving: lockers.count * 20 + 2)
        writer.beginArray()
        for locker in lockers {
            writer.int(locker.id)
            writer.string(locker.address)
        }
        writer.endArray()
        return String(decoding: writer.bytes, as: UTF8.self)
    }

    static func lockers(_ text: String) -> [LockerIdentity] {
        guard let items = try? JSONReader.parse(text).arrayValue else { return [] }
        return stride(from: 0, to: items.count - 1, by: 2).compactMap { index in
            guard let id = items[index].intValue, let address = items[index + 1].stringValue else {
                return nil
            }
            return LockerIdentity(id: id, address: address)
        }
    }
}

extension Peer {
    /// As the operations' table has it.
    var text: String {
        let json: JSON = [
            "uid": .int(Int64(uid)), "gid": .int(Int64(gid)),
            "groups": .array(groups.map { .int(Int64($0)) }), "pid": .int(Int64(pid)),
            "process": process.map(JSON.string) ?? .null,
        ]
        return json.text
    }

    /// The peer that ``text`` was made of; nobody's where it cannot be read.
    init(text: String) {
        let json = try? JSONReader.parse(text)
        func number(_ value: JSON?) -> UInt32? { value?.intValue.flatMap(UInt32.init(exactly:)) }
        self.init(
            uid: number(json?["uid"]) ?? .max, gid: number(json?["gid"]) ?? .max,
            groups: (json?["groups"]?.arrayValue ?? []).compactMap(number),
            pid: json?["pid"]?.intValue.flatMap(Int32.init(exactly:)) ?? 0,
            process: json?["process"]?.stringValue)
    }
}
