import CBORCodec
package import LockerKit
import TowerLink

/// What towers can do beyond opening.
extension TowerController {
    package func perform(_ action: DeviceAction) async throws(LockerError) -> DeviceAnswer {
        guard isStarted else { throw notStarted }
        if let locker = action.locker {
            // A tower knows the last one only, and it may be another one than the caller thinks.
            guard let number = plan.numbers[locker] else {
                throw LockerError(.unknownLocker, "no locker \(locker) on \(plan.id)")
            }
            try checkLast(locker, number)
        }
        let end = context.clock.now + Limits.read
        do throws(TowerFault) {
            try await connect(until: end)
            return try await carryOut(action, until: end)
        } catch {
            // Only a tap energises anything, and no door comes open by it.
            throw error.harmless(name)
        }
    }

    private func carryOut(
        _ action: DeviceAction, until end: ContinuousClock.Instant
    ) async throws(TowerFault) -> DeviceAnswer {
        switch action {
        case .log(let after): return .log(try await log(after: after, until: end))
        case .forget(let through):
            let seen = Packet(.markSeenEvents, [.syncEventStart: .int(through + 1)])
            return try await done(seen, until: end)
        case .relay(let parcel):
            guard let payload = bytes(fromHex: parcel.payload),
                let auth = bytes(fromHex: parcel.payloadAuth),
                payload.count + auth.count <= Limits.parcel
            else {
                throw TowerFault(
                    .refused(nil),
                    "a parcel is two texts of hexadecimal digits, of \(Limits.parcel) bytes at most together"
                )
            }
            let push = Packet(.syncPush, [.payload: .bytes(payload), .payloadAuth: .bytes(auth)])
            return try await done(push, until: end)
        case .revert(_, let info):
            return try await done(
                Packet(.revertLockerState, [.clientInfo: .text(info)]), until: end)
        case .tap(_, let interval, let count):
            let fields: [Dialect.Field: CBOR] = [
                .tapInterval: .int(Int64(interval)), .tapCount: .int(Int64(count)),
            ]
            return try await done(Packet(.tapLocker, fields), until: end)
        case .lastDoor:
            let answer = try await ask(
                Packet(.checkLockerDoor), for: .lockerDoorState, until: end)
            guard let isOpen = answer.fields[.doorOpen]?.boolValue else { throw wrong(answer) }
            return .door(isOpen ? .open : .closed)
        case .available:
            let answer = try await ask(
                Packet(.findAvailableLockers), for: .foundLockers, until: end)
            guard let types = answer.fields[.lockerTypeMap]?.mapValue else { throw wrong(answer) }
            var found: [Int: Int] = [:]
            for (type, count) in types {
                guard let count = count.intValue else { throw wrong(answer) }
                found[Int(type)] = Int(clamping: count)
            }
            return .available(found)
        }
    }

    private func done(
        _ command: Packet, until end: ContinuousClock.Instant
    ) async throws(TowerFault) -> DeviceAnswer {
        _ = try await ask(command, for: .acknowledge, until: end)
        return .done
    }

    /// Asks, and takes one kind of answer.
    private func ask(
        _ command: Packet, for message: Dialect.Message, until end: ContinuousClock.Instant
    ) async throws(TowerFault) -> Packet {
        let answer = try await ask(command, until: end, before: nil)
        guard answer.message == message else { throw wrong(answer) }
        return answer
    }

    private func wrong(_ answer: Packet) -> TowerFault {
        var fault = TowerFault(.dishonest, "\(answer.message.rawValue) where it makes no sense")
        fault.wasSent = true
        return fault
    }
}

// MARK: Its log

extension TowerController {
    /// A stretch of the tower's log, as far as this session may read it, and the same stretch sealed for its server, as far as it may be
    /// carried. Both end at the same entry.
    private func log(
        after: Int64, until end: ContinuousClock.Instant
    ) async throws(TowerFault) -> DeviceLog {
        let status = try await permitted { () async throws(TowerFault) in
            try await ask(Packet(.requestSyncStatus), for: .syncStatus, until: end)
        }
        var (oldest, next) = (after + 1, Int64.max)
        if let status {
            guard let start = status.fields[.syncEventStart]?.intValue,
                let count = status.fields[.syncEventCount]?.intValue,
                Self.numbers.contains(start), 0...DeviceLog.highestNumber - start ~= count
            else { throw wrong(status) }
            (oldest, next) = (start, start + count)
        }
        // A log that ends before what was asked for has begun anew.
        let first = next <= after ? oldest : max(after + 1, oldest)
        let source = plan.tower.description
        guard first < next else {
            return DeviceLog(oldest: oldest, next: next, source: source, entries: [])
        }
        // A little beyond: things happen while it is read.
        let numbers = first...min(next, .max - Limits.logEntries) + Limits.logEntries
        var parcel = status == nil ? nil : try await parcel(within: numbers, until: end)
        let entries = try await entries(
            within: numbers, through: parcel?.entries?.upperBound, until: end)
        if let last = entries.last?.number, let sealed = parcel?.entries?.upperBound, last < sealed
        {
            // They have to end together; the parcel comes with the next stretch.
            parcel = nil
        }
        if status == nil {
            // Nobody says how long the log is; what there is tells as much as is needed.
            next = (entries.last?.number ?? after) + 1
            oldest = entries.first?.number ?? next
        }
        return DeviceLog(
            oldest: oldest, next: next, source: source, entries: entries, parcel: parcel)
    }

    private func parcel(
        within numbers: ClosedRange<Int64>, until end: ContinuousClock.Instant
    ) async throws(TowerFault) -> SealedParcel? {
        let pull = Packet(.syncPull, [.syncEventStart: .int(numbers.lowerBound)])
        let answer = try await ask(pull, for: .syncEvents, until: end)
        guard let start = answer.fields[.syncEventStart]?.intValue,
            let count = answer.fields[.syncEventCount]?.intValue,
            0...Limits.logEntries ~= count, numbers.contains(start),
            numbers.contains(start + max(count, 1) - 1),
            let payload = answer.fields[.payload]?.bytesValue,
            let auth = answer.fields[.payloadAuth]?.bytesValue,
            payload.count <= Limits.sealedEntry * (Int(count) + 1), auth.count <= Limits.token
        else { throw wrong(answer) }
        guard count > 0 else { return nil }
        return SealedParcel(
            payload: hex(payload), payloadAuth: hex(auth), entries: start...start + count - 1)
    }

    /// - Parameter last: nil where a page is enough.
    private func entries(
        within numbers: ClosedRange<Int64>, through last: Int64?,
        until end: ContinuousClock.Instant
    ) async throws(TowerFault) -> [DeviceLogEntry] {
        var found: [DeviceLogEntry] = []
        var next = numbers.lowerBound
        repeat {
            let read = Packet(.readEvents, [.syncEventStart: .int(next)])
            let page = try await permitted { () async throws(TowerFault) in
                try await ask(read, for: .eventsRead, until: end)
            }
            guard let page else { return [] }
            guard let list = page.fields[.events]?.arrayValue else { throw wrong(page) }
            guard !list.isEmpty else { return found }
            for value in list {
                guard let entry = entry(value), entry.number >= next, numbers.contains(entry.number)
                else { throw wrong(page) }
                next = entry.number + 1
                if last.map({ entry.number <= $0 }) ?? true { found.append(entry) }
            }
        } while last.map { next <= $0 } ?? false
        return found
    }

    private func entry(_ value: CBOR) -> DeviceLogEntry? {
        let dialect = Dialect.own
        func int(_ field: Dialect.Field) -> Int64? {
            value.mapValue?[dialect.number(of: field)]?.intValue
        }
        guard let number = int(.eventID), let kind = int(.eventKind), let at = int(.eventTime),
            Self.numbers.contains(number), DeviceLog.moments.contains(at)
        else { return nil }
        var figures: [String: Int64] = [:]
        for field in [.errorCode, .batteryMillivolts, .temperature] as [Dialect.Field] {
            figures[field.rawValue] = int(field)
        }
        let tower = int(.lockerID).map { Int(clamping: $0) }
        let locker = plan.numbers.first { $0.value == tower }?.key
        if locker == nil { figures["lockerID"] = int(.lockerID) }
        return DeviceLogEntry(
            number: number, kind: dialect.event(kind).map(Self.word) ?? "kind-\(kind)", at: at,
            locker: locker, figures: figures)
    }

    /// More of them than any tower will ever have.
    private static let numbers: ClosedRange<Int64> = 1...DeviceLog.highestNumber

    /// As words are written on the control socket.
    private static func word(_ kind: Dialect.EventKind) -> String {
        switch kind {
        case .boot: "boot"
        case .lockerAccess: "access"
        case .forcedDoor: "forced-door"
        case .wrongDoor: "wrong-door"
        case .battery: "battery"
        case .temperature: "temperature"
        case .client: "client"
        case .keyUpdate: "key-update"
        case .error: "error"
        case .doorClosed: "door-closed"
        }
    }

    /// Nil where this session may not ask that.
    private func permitted(
        _ body: () async throws(TowerFault) -> Packet
    ) async throws(TowerFault) -> Packet? {
        do throws(TowerFault) {
            return try await body()
        } catch {
            guard error.kind == .refused(.permissionMissing) else { throw error }
            return nil
        }
    }
}
