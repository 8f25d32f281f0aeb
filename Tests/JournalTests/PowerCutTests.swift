import FaultyDisk
import Foundation
import JSONLines
import Journal
import LockerCore
import LockerKit
import Locks
import SiteModel
import TestSupport
import Testing

/// What a disk was told, and what it may hold when the power goes at any moment.
struct DiskStory {
    struct Note {
        let kind: UInt32
        let file: UInt32
        let offset: Int
        let bytes: [UInt8]

        var isWrite: Bool { kind == FAULTY_DISK_WRITE.rawValue }
    }

    /// Which of the writes that were never synced have come through.
    enum Luck: CaseIterable {
        case all, none, tornLast, some
    }

    let notes: [Note]

    init(_ disk: Disk) {
        notes = (0..<faulty_disk_notes(disk.handle)).map { index in
            let note = faulty_disk_note_at(disk.handle, index)
            return Note(
                kind: UInt32(note.kind), file: UInt32(note.file), offset: Int(note.offset),
                bytes: note.bytes.map {
                    Array(UnsafeBufferPointer(start: $0, count: Int(note.length)))
                } ?? [])
        }
    }

    /// The file as it is when the power goes before the note at `end`; nil where there is none.
    func file(_ file: UInt32, until end: Int, _ luck: Luck) -> [UInt8]? {
        let told = notes[..<end].enumerated().filter { $0.element.file == file }
        let synced =
            told.last { $0.element.kind == FAULTY_DISK_SYNC.rawValue }?.offset ?? -1
        let lastWrite = told.last { $0.element.isWrite }?.offset
        var random = SeededGenerator(seed: UInt64(end))
        var bytes: [UInt8]?
        for (index, note) in told {
            let isSafe = index < synced
            switch note.kind {
            case FAULTY_DISK_DELETE.rawValue: bytes = nil
            case FAULTY_DISK_TRUNCATE.rawValue where isSafe || luck != .none:
                bytes = Array((bytes ?? []).prefix(note.offset))
            case FAULTY_DISK_WRITE.rawValue:
                var part = note.bytes[...]
                if !isSafe {
                    if luck == .none || luck == .some && Bool.random(using: &random) { continue }
                    if luck == .tornLast, index == lastWrite { part = part.prefix(part.count / 2) }
                }
                var whole = bytes ?? []
                let missing = note.offset + part.count - whole.count
                if missing > 0 { whole += [UInt8](repeating: 0, count: missing) }
                whole.replaceSubrange(note.offset..<note.offset + part.count, with: part)
                bytes = whole
            default: break
            }
        }
        return bytes
    }
}

@Suite struct PowerCutTests {
    private let fixture = JournalFixture()

    /// What had come to pass when a mark was set.
    private struct Promise {
        /// Operations whose beginning was recorded as synced.
        var begun: [String] = []
        /// Newest event that clients have seen.
        var seen: UInt64 = 0
    }

    private static var limits: JournalLimits {
        var limits = JournalLimits.quick
        // Small, so that the log is copied and begun anew several times.
        limits.walPages = 40
        limits.idleWalPages = 40
        limits.reservedWalPages = 60
        limits.events = 15
        limits.audit = 12
        limits.operations = 8
        limits.slack = 2
        return limits
    }

    /// Some opens, one after the other, and the journal's end; returns what had been promised at each mark.
    private func work(_ journal: SQLiteJournal, _ disk: Disk, opens: Int) async throws -> [Promise]
    {
        let promises = Mutex<[Promise]>([Promise()])
        @Sendable func promise(_ change: (inout Promise) -> Void) {
            promises.withLock { promises in
                var next = promises[promises.count - 1]
                change(&next)
                promises.append(next)
                faulty_disk_mark(disk.handle, Int64(promises.count - 1))
            }
        }
        journal.observe(
            JournalObserver(written: { seq in promise { $0.seen = max($0.seen, seq) } }))
        for number in 1...opens {
            let locker = LockerIdentity.at(number)
            let seq = UInt64(number * 2)
            try await journal.record(
                fixture.beginning("op-\(number)", locker, key: "k-\(number)", seq: seq - 1),
                synced: true)
            promise { $0.begun.append("op-\(number)") }
            let end = fixture.end("op-\(number)", locker, seq: seq)
            if number % 3 == 0 {
                journal.note(end, promptly: true)
            } else {
                try await journal.record(end, synced: false)
            }
        }
        await journal.close()
        return promises.withLock { $0 }
    }

    @Test func `whatever moment the power goes at, promises are kept`() async throws {
        try await withTemporaryDirectory { directory in
            let disk = try Disk()
            faulty_disk_take_notes(disk.handle, 1)
            let journal = try fixture.open(
                "\(directory)/state", limits: Self.limits, vfs: disk.name)
            let promises = try await work(journal, disk, opens: 12)
            let story = DiskStory(disk)
            #expect(story.notes.count > 300)
            var cuts = 0
            for end in 0...story.notes.count {
                let isMark =
                    end > 0 && story.notes[end - 1].kind == FAULTY_DISK_MARK.rawValue
                let mark = story.notes[..<end].last { $0.kind == FAULTY_DISK_MARK.rawValue }
                let promise = promises[mark?.offset ?? 0]
                for luck in DiskStory.Luck.allCases where !isMark || luck == .none {
                    cuts += 1
                    try await check(
                        story, end, luck, promise, "\(directory)/cut", "cut \(end), \(luck)")
                }
            }
            print("power cuts tried: \(cuts), after \(story.notes.count) notes of the disk")
        }
    }

    private func check(
        _ story: DiskStory, _ end: Int, _ luck: DiskStory.Luck, _ promise: Promise,
        _ state: String, _ name: String
    ) async throws {
        try? FileManager.default.removeItem(atPath: state)
        mkdir(state, 0o700)
        for (file, suffix) in [(FAULTY_DISK_MAIN, ""), (FAULTY_DISK_LOG, "-wal")] {
            if let bytes = story.file(file.rawValue, until: end, luck) {
                try Data(bytes).write(to: URL(fileURLWithPath: "\(state)/journal.sqlite\(suffix)"))
            }
        }
        let again = try fixture.open(state, run: 2, machine: "machine-2", limits: Self.limits)
        #expect(again.state == .durable, "\(name)")
        #expect(again.legacy.lastSeq >= promise.seen, "\(name): a number comes twice")
        let numbers = again.legacy.events.map(\.seq)
        #expect(zip(numbers, numbers.dropFirst()).allSatisfy { $0 < $1 }, "\(name)")
        // What was kept has no hole; only the recovery's own events may stand apart, after the skip.
        let kept = numbers.filter { $0 <= 24 }
        if let first = kept.first, let last = kept.last {
            #expect(kept.count == Int(last - first) + 1, "\(name): \(numbers)")
        }
        for id in promise.begun.suffix(4) {
            let found = try await again.operation(id: id)
            #expect(found != nil, "\(name): \(id) was promised")
            #expect(found?.view.state == .done, "\(name): \(id)")
            #expect(found?.view.results.count == 1, "\(name): \(id)")
        }
        let page = try await again.audit(AuditQuery(limit: 1000))
        #expect(try problems(in: page) == [], "\(name)")
        #expect(page.headNumber >= Int64(promise.begun.count), "\(name)")
        await again.close()
    }
}
