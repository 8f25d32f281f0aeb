import AuditChain
import FaultyDisk
import JSONLines
import Journal
import LockerCore
import LockerKit
import Locks
import Logging
import SiteModel
import TestSupport

/// A machine and a daemon for a journal: its clocks are moved by hand, and what it is told is written down.
final class JournalFixture: Sendable {
    struct Clocks {
        var monotonic: Int64 = 1_000_000
        var wall: Int64 = 1_795_000_000_000
    }

    let clocks = Mutex(Clocks())
    /// Numbers of `written` and states of `changed`, in order.
    let written = Mutex<[UInt64]>([])
    let states = Mutex<[JournalState]>([])
    /// What `late` brought.
    let late = Mutex<[JournalLegacy]>([])

    func setting(
        run: Int = 1, machine: String = "machine-1", limits: JournalLimits = .quick
    ) -> JournalSetting {
        let boot = "boot-\(run)"
        return JournalSetting(
            bootID: boot, machineBoot: machine,
            monotonicMs: { self.clocks.withLock { $0.monotonic } },
            wallClock: { self.wall },
            stamp: { self.stamp(boot: boot, machine: machine) },
            logger: Logger(label: "journal", factory: { _ in SwiftLogNoOpLogHandler() }),
            limits: limits)
    }

    var wall: WallTime { WallTime(milliseconds: clocks.withLock { $0.wall }) }

    func stamp(boot: String = "boot-1", machine: String = "machine-1") -> AuditStamp {
        clocks.withLock {
            AuditStamp(
                at: WallTime(milliseconds: $0.wall), monotonicMs: $0.monotonic, bootID: boot,
                machineBoot: machine, isSynchronized: true)
        }
    }

    func open(
        _ directory: String?, run: Int = 1, machine: String = "machine-1",
        limits: JournalLimits = .quick, vfs: String? = nil
    ) throws -> SQLiteJournal {
        let journal = try SQLiteJournal.open(
            at: directory, setting(run: run, machine: machine, limits: limits), vfs: vfs)
        journal.observe(
            JournalObserver(
                written: { seq in self.written.withLock { $0.append(seq) } },
                changed: { state in self.states.withLock { $0.append(state) } },
                late: { legacy in self.late.withLock { $0.append(legacy) } }))
        return journal
    }

    /// Waits until the core was told of just these events, in this order.
    func isTold(_ numbers: [UInt64]) async throws {
        try await eventually("told of \(numbers)") { written.withLock { $0 } == numbers }
    }

    /// Everything that an open hands over before its lock is fired.
    func beginning(_ id: String, _ locker: LockerIdentity, key: String? = nil, seq: UInt64)
        -> [JournalEntry]
    {
        var note = AuditNote(.open, stamp())
        note.peer = .kiosk
        note.operation = id
        note.locker = locker
        note.key = key
        let body = EventBody.operationStarted(
            operation: id, kind: .open, scope: OperationScope(.open, [locker]))
        return [
            .accepted(.of(id, [locker], key: key, at: wall), note),
            .event(Event(seq: seq, at: wall, body: body)),
            .intent(operation: id, locker: locker, pulse: .milliseconds(200)),
        ]
    }

    /// Everything that it hands over afterwards.
    func end(_ id: String, _ locker: LockerIdentity, seq: UInt64) -> [JournalEntry] {
        let result = LockerResult.opened(locker)
        var note = AuditNote(.outcome, stamp())
        note.operation = id
        note.result = result
        let body = EventBody.operationDone(
            operation: id, kind: .open, scope: OperationScope(.open, [locker]), result: result,
            summary: OpenAllSummary([result]))
        var kept = KeptLocker()
        kept.lastOpen = LastOpen(operation: id, at: wall, outcome: .opened)
        return [
            .result(operation: id, result), .ended(operation: id, state: .done), .audit(note),
            .event(Event(seq: seq, at: wall, body: body)), .locker(locker, kept),
        ]
    }
}

extension JournalLimits {
    /// The standard ones, but for how long things wait.
    static var quick: JournalLimits {
        var limits = JournalLimits()
        limits.retryMs = 50
        limits.noteDelayMs = 20
        limits.reservedWalPages = 0
        return limits
    }
}

extension Peer {
    static let kiosk = Peer(uid: 990, gid: 991, groups: [991, 44], pid: 812, process: "kiosk")
}

extension LockerIdentity {
    static func at(_ number: Int) -> LockerIdentity {
        LockerIdentity(id: number, address: "wall/\(number)")
    }
}

extension AcceptedOperation {
    static func of(
        _ id: String, _ lockers: [LockerIdentity], kind: OperationView.Kind = .open,
        key: String? = nil, at: WallTime = WallTime(milliseconds: 1_795_000_000_123)
    ) -> AcceptedOperation {
        AcceptedOperation(
            id: id, kind: kind, acceptedAt: at, lockers: lockers, key: key,
            fingerprint: "print of \(id)", peer: .kiosk, reason: "parcel „ü“")
    }
}

extension LockerResult {
    static func opened(_ locker: LockerIdentity) -> LockerResult {
        var timing = OpenTiming()
        timing.bus = .milliseconds(12.25)
        timing.door = .milliseconds(431.5)
        return LockerResult(
            locker: locker,
            ending: .outcome(.opened, evidence: .doorSensor, door: .open, timing: timing))
    }
}

/// What is wrong with a page of the audit that has everything from its first entry to its head; empty where nothing is.
func problems(in page: AuditPage) throws -> [String] {
    var found: [String] = []
    var number = page.firstNumber
    var previous = page.firstPrevious
    for text in page.entries {
        let entry = try JSONReader.parse(text).objectValue ?? JSONObject()
        if entry["n"]?.intValue != Int(number) { found.append("\(number) is not in its place") }
        if entry["previous"]?.stringValue != previous { found.append("\(number) breaks the chain") }
        let hash = AuditChain.hash(of: entry)
        if entry["hash"]?.stringValue != hash { found.append("\(number) was changed") }
        previous = hash
        number += 1
    }
    if number - 1 != page.headNumber { found.append("ends at \(number - 1)") }
    if previous != page.headHash { found.append("the head has another hash") }
    return found
}

extension AuditNote {
    /// For operations whose line in the audit is not what a test is about.
    static var plain: AuditNote {
        AuditNote(
            .open,
            AuditStamp(
                at: WallTime(milliseconds: 0), monotonicMs: 0, bootID: "", machineBoot: "",
                isSynchronized: false))
    }
}
