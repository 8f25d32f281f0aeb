import Locks
import SiteModel
import Testing

@testable import Heartbeat
@testable import LockerCore

@Suite struct EventReaderTests {
    private let log = EventLog(wallClock: { WallTime(milliseconds: 0) })

    private func append(_ count: Int) {
        for _ in 0..<count { log.append(.deviceState(device: "screen", state: "on")) }
    }

    private func drain(_ reader: inout EventReader) -> (seqs: [UInt64], lost: Int) {
        var seqs: [UInt64] = []
        var lost = 0
        while let item = reader.next() {
            switch item {
            case .event(let event): seqs.append(event.seq)
            case .lost(let count): lost += count
            }
        }
        return (seqs, lost)
    }

    @Test func `events from before the first look are read`() {
        append(3)
        var reader = EventReader(log: log, limit: 10) {}
        let (seqs, lost) = drain(&reader)
        #expect(seqs == [1, 2, 3])
        #expect(lost == 0)
    }

    @Test func `falling behind loses nothing that the log still holds`() {
        var reader = EventReader(log: log, limit: 10) {}
        #expect(drain(&reader).seqs.isEmpty)
        append(500)
        let (seqs, lost) = drain(&reader)
        #expect(seqs == Array(1...500))
        #expect(lost == 0)
        append(1)
        #expect(drain(&reader).seqs == [501])
    }

    @Test func `what even the log has forgotten is counted as lost`() {
        var reader = EventReader(log: log, limit: 10) {}
        append(1)
        #expect(drain(&reader).seqs == [1])
        append(EventLog.capacity + 40)
        let (seqs, lost) = drain(&reader)
        #expect(seqs.count + lost == EventLog.capacity + 40)
        #expect(lost > 0)
        #expect(seqs == seqs.sorted())
        #expect(seqs.last == log.lastSeq)
    }

    @Test func `news of the site's health wakes the reader, and so does a half-full backlog`() {
        let wakes = Mutex(0)
        var reader = EventReader(log: log, limit: 10) { wakes.withLock { $0 += 1 } }
        _ = drain(&reader)
        append(4)
        #expect(wakes.withLock { $0 } == 0)
        append(1)
        #expect(wakes.withLock { $0 } == 1)
        _ = drain(&reader)
        log.append(.healthChanged(Health(level: .ok)))
        #expect(wakes.withLock { $0 } == 2)
        reader.cancel()
        log.append(.healthChanged(Health(level: .down)))
        #expect(wakes.withLock { $0 } == 2)
    }
}
