import LockerKitTesting
import Testing

@testable import ModuleHost

@Suite("A value that comes once")
struct OneShotTests {
    @Test("reaches everybody who waits and everybody who asks later; only the first counts")
    func everybody() async {
        let shot = OneShot<Int>()
        #expect(shot.current == nil)
        let waiters = (0..<8).map { _ in Task { await shot.wait() } }
        shot.fulfil(1)
        shot.fulfil(2)
        for waiter in waiters { #expect(await waiter.value == 1) }
        #expect(await shot.wait() == 1)
        #expect(shot.current == 1)
    }

    @Test("A waiter that is cancelled leaves, before or while it waits, and the others stay")
    func cancelled() async {
        let shot = OneShot<Int>()
        let leaving = (0..<50).map { _ in Task { await shot.wait() } }
        let staying = Task { await shot.wait() }
        for waiter in leaving { waiter.cancel() }
        for waiter in leaving { #expect(await waiter.value == nil) }
        shot.fulfil(1)
        #expect(await staying.value == 1)
    }

    @Test("A wait with a limit ends at the limit")
    func limited() async {
        let clock = ManualClock()
        let shot = OneShot<Int>()
        let waiter = Task { await shot.wait(for: .seconds(2), clock: clock) }
        await clock.waitForSleepers(1)
        clock.advance(by: .seconds(2))
        #expect(await waiter.value == nil)
        let lucky = Task { await shot.wait(for: .seconds(2), clock: clock) }
        await clock.waitForSleepers(1)
        shot.fulfil(1)
        #expect(await lucky.value == 1)
        #expect(clock.sleepers == 0)
    }
}
