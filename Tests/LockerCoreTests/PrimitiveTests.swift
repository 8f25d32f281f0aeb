import LockerKit
import LockerKitTesting
import Locks
import SiteModel
import TestSupport
import Testing

@testable import LockerCore

/// What happened, in order.
private final class Order: Sendable {
    private let list = Mutex<[String]>([])

    var entries: [String] { list.withLock { $0 } }

    func note(_ entry: String) { list.withLock { $0.append(entry) } }
}

@Suite struct TurnstileTests {
    @Test func opensOvertakeReads() async throws {
        let line = Turnstile(capacity: 1)
        try await line.enter()
        let order = Order()
        let read = Task {
            try await line.enter(.routine); order.note("read"); line.leave()
        }
        try await settle("the read waits") { line.waiting == 1 }
        let open = Task {
            try await line.enter(.urgent); order.note("open"); line.leave()
        }
        try await settle("the open waits") { line.waiting == 2 }
        line.leave()
        _ = try await (read.value, open.value)
        #expect(order.entries == ["open", "read"])
    }

    @Test func aTaskThatGivesUpLeavesTheLine() async throws {
        let line = Turnstile(capacity: 1)
        try await line.enter()
        let waiter = Task { try await line.enter() }
        try await settle("it waits") { line.waiting == 1 }
        waiter.cancel()
        await #expect(throws: CancellationError.self) { try await waiter.value }
        #expect(line.waiting == 0)
        line.leave()
        #expect(line.tryEnter())
    }
}

@Suite struct EventLogTests {
    private func log() -> EventLog { EventLog { WallTime(milliseconds: 0) } }

    private func fill(_ log: EventLog, _ count: Int) {
        for number in 0..<count { log.append(.deviceState(device: "d", state: "\(number)")) }
    }

    @Test func numbersHaveNoGapsFromAnyStart() throws {
        let log = log()
        fill(log, 100)
        let subscription = try log.subscribe(since: 40, limit: 1000, wake: {})
        fill(log, 50)
        #expect(subscription.missed == nil)
        #expect(subscription.take(max: .max).events.map(\.seq) == Array(41...150))
    }

    @Test func saysWhatIsGone() throws {
        let log = log()
        fill(log, EventLog.capacity + 25)
        let subscription = try log.subscribe(since: 5, limit: 10, wake: {})
        #expect(subscription.missed == 6...25)
        #expect(subscription.take(max: 1).events.first?.seq == 26)
    }

    @Test func refusesANumberFromTheFuture() {
        let log = log()
        fill(log, 3)
        #expect(throws: LockerError.self) { try log.subscribe(since: 4, limit: 10, wake: {}) }
    }

    @Test func aReaderThatDoesNotReadIsCutOffAtItsLimit() throws {
        let log = log()
        let wakes = Mutex(0)
        let subscription = try log.subscribe(since: nil, limit: 10) { wakes.withLock { $0 += 1 } }
        fill(log, 1000)
        #expect(wakes.withLock { $0 } == 2)
        let (events, isOverflowed) = subscription.take(max: .max)
        #expect(events.map(\.seq) == Array(1...10))
        #expect(isOverflowed)
    }
}
