import LockerKitTesting
import Testing

@Suite struct ManualClocks {
    @Test func `time passes only when it is turned`() async throws {
        let clock = ManualClock()
        let start = clock.now
        #expect(clock.now == start)
        clock.advance(by: .seconds(3))
        #expect(clock.now == start + .seconds(3))
    }

    @Test func `sleepers wake once their time has come`() async throws {
        let clock = ManualClock()
        let woken = Kept<Int>()
        await withTaskGroup(of: Void.self) { group in
            for seconds in [3, 1, 2] {
                group.addTask {
                    try? await clock.sleep(for: .seconds(seconds))
                    woken.append(seconds)
                }
            }
            await clock.waitForSleepers(3)
            clock.advance(by: .milliseconds(2500))
            #expect(clock.sleepers == 1)
            clock.advance(by: .milliseconds(500))
        }
        #expect(woken.values.sorted() == [1, 2, 3])
        #expect(clock.sleepers == 0)
    }

    @Test func `a cancelled sleeper leaves at once`() async {
        let clock = ManualClock()
        let sleeper = Task { try await clock.sleep(for: .seconds(1)) }
        await clock.waitForSleepers()
        sleeper.cancel()
        await #expect(throws: CancellationError.self) { try await sleeper.value }
        #expect(clock.sleepers == 0)
    }

    @Test func `a cancelled wait for sleepers returns`() async {
        let clock = ManualClock()
        let waiting = Task { await clock.waitForSleepers(5) }
        waiting.cancel()
        await waiting.value
    }

    @Test func `a deadline that has passed is no sleep`() async throws {
        let clock = ManualClock()
        try await clock.sleep(until: clock.now, tolerance: nil)
        try await clock.sleep(for: .zero)
    }
}
