package import JSONLines
package import ModuleWire

// How actions and their answers travel.

extension DeviceAction {
    /// Reads an action.
    package init(_ params: ActParams) throws(WireError) {
        let with = JSON.object(params.with)
        func int(_ key: String, in range: ClosedRange<Int> = 0...Int.max) throws(WireError) -> Int {
            guard let value = with[key]?.intValue, range.contains(value) else {
                throw WireError("with.\(key) of \(params.action) is missing or out of range")
            }
            return value
        }
        switch Name(rawValue: params.action) {
        case .log: self = .log(after: Int64(try int("after", in: Self.numbers)))
        case .forget: self = .forget(through: Int64(try int("through", in: Self.numbers)))
        case .relay: self = .relay(try SealedParcel(ParcelData(json: with, "with")))
        case .available: self = .available
        case .revert:
            self = .revert(
                locker: try int("locker", in: 1...Int(UInt16.max)),
                clientInfo: with["clientInfo"]?.stringValue ?? "")
        case .tap:
            self = .tap(
                locker: try int("locker", in: 1...Int(UInt16.max)),
                intervalMilliseconds: try int("intervalMs", in: Self.tapInterval),
                count: try int("count", in: Self.tapCount))
        case .lastDoor: self = .lastDoor(locker: try int("locker", in: 1...Int(UInt16.max)))
        case nil: throw WireError("action is \"\(params.action)\", which is none")
        }
    }

    private static let numbers = 0...Int(DeviceLog.highestNumber)

    /// Milliseconds between two taps, and how many there may be beyond the first: a coil that is tapped for long gets warm.
    package static let tapInterval = 100...2000
    package static let tapCount = 0...10

    /// The action as it is sent.
    package func wire(controller: String) -> ActParams {
        let with: JSONObject =
            switch self {
            case .log(let after): ["after": .int(after)]
            case .forget(let through): ["through": .int(through)]
            case .relay(let parcel): parcel.wire.json.objectValue ?? [:]
            case .available: [:]
            case .lastDoor(let locker): ["locker": .int(Int64(locker))]
            case .revert(let locker, let info):
                ["locker": .int(Int64(locker)), "clientInfo": .string(info)]
            case .tap(let locker, let interval, let count):
                [
                    "locker": .int(Int64(locker)), "intervalMs": .int(Int64(interval)),
                    "count": .int(Int64(count)),
                ]
            }
        return ActParams(controller: controller, action: name.rawValue, with: with)
    }
}

extension DeviceAnswer {
    /// Reads the answer to `action`.
    package init(_ json: JSON, to action: DeviceAction) throws(WireError) {
        switch action {
        case .forget, .relay, .revert, .tap: self = .done
        case .log: self = .log(try DeviceLog(LogResult(json: json)))
        case .available:
            guard let types = json["available"]?.objectValue else {
                throw WireError("result.available is missing")
            }
            var found: [Int: Int] = [:]
            for member in types.members {
                guard let type = Int(member.key), let count = member.value.intValue else {
                    throw WireError("result.available.\(member.key) is no count")
                }
                found[type] = count
            }
            self = .available(found)
        case .lastDoor:
            guard let door = json["door"]?.stringValue.flatMap(DoorState.init) else {
                throw WireError("result.door is missing; want open, closed or unknown")
            }
            self = .door(door)
        }
    }

    package var wire: JSON {
        switch self {
        case .done: [:]
        case .log(let log): log.wire.json
        case .available(let types):
            [
                "available": .object(
                    JSONObject(
                        types.sorted { $0.key < $1.key }.map {
                            .init(key: String($0.key), value: .int(Int64($0.value)))
                        }))
            ]
        case .door(let door): ["door": .string(door.rawValue)]
        }
    }
}

extension DeviceLog {
    /// To the year 9999: what can be written as a date.
    package static let moments: ClosedRange<Int64> = 0...253_402_300_799

    package init(_ result: LogResult) throws(WireError) {
        guard result.entries.count <= LogResult.mostEntries else {
            throw WireError(
                "result.entries has \(result.entries.count); want at most \(LogResult.mostEntries)")
        }
        let all =
            [result.oldest, result.next] + result.entries.map(\.number)
            + [result.parcel?.first, result.parcel?.last].compactMap(\.self)
        guard all.allSatisfy({ 0...Self.highestNumber ~= $0 }) else {
            throw WireError("a number of result is out of range; want 0 to \(Self.highestNumber)")
        }
        guard result.entries.allSatisfy({ Self.moments.contains($0.at) }) else {
            throw WireError("at of an entry is out of range; want seconds since 1970")
        }
        self.init(
            oldest: result.oldest, next: result.next, source: result.source,
            entries: result.entries.map {
                DeviceLogEntry(
                    number: $0.number, kind: $0.kind, at: $0.at, locker: $0.locker,
                    figures: $0.figures)
            }, parcel: try result.parcel.map(SealedParcel.init))
    }

    package var wire: LogResult {
        LogResult(
            oldest: oldest, next: next, source: source,
            entries: entries.map {
                LogResult.Entry(
                    number: $0.number, kind: $0.kind, at: $0.at, locker: $0.locker,
                    figures: $0.figures)
            }, parcel: parcel?.wire)
    }
}

extension SealedParcel {
    package init(_ data: ParcelData) throws(WireError) {
        var entries: ClosedRange<Int64>?
        if let first = data.first, let last = data.last {
            guard first <= last else { throw WireError("parcel.last is below parcel.first") }
            entries = first...last
        }
        self.init(payload: data.payload, payloadAuth: data.payloadAuth, entries: entries)
    }

    package var wire: ParcelData {
        ParcelData(
            payload: payload, payloadAuth: payloadAuth, first: entries?.lowerBound,
            last: entries?.upperBound)
    }
}
