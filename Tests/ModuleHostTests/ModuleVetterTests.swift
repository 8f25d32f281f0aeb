import Foundation
import LockerKit
import LockerKitTesting
import Locks
import SiteModel
import Testing

@testable import ModuleHost

/// A file system that hangs until it is mended.
private final class HangingFiles: Sendable {
    private struct State {
        var looks = 0
        var isOnPool = false
    }

    let asked: AsyncStream<Void>
    private let ask: AsyncStream<Void>.Continuation
    private let mended = DispatchSemaphore(value: 0)
    private let state = Mutex(State())

    init() {
        (asked, ask) = AsyncStream.makeStream()
    }

    var looks: Int { state.withLock { $0.looks } }
    var isOnPool: Bool { state.withLock { $0.isOnPool } }

    func look(_ path: String) -> Result<ModuleVetting.Facts, ModuleVetting.Errno> {
        let isOnPool = withUnsafeCurrentTask { $0 != nil }
        state.withLock { state in
            state.looks += 1
            state.isOnPool = isOnPool
        }
        ask.yield()
        if !isOnPool { mended.wait() }
        return .failure(.init(ENOENT))
    }

    func mend() { mended.signal() }
}

@Suite("The vetter of a module", .timeLimit(.minutes(1)))
struct ModuleVetterTests {
    private let files = HangingFiles()
    private let clock = ManualClock()

    private func vetter() -> ModuleVetter {
        ModuleVetter(
            ModulePlan(
                name: "fake", kind: .driver, directory: "/modules/fake", executable: "fake",
                protocolMajor: 1), clock: clock, look: { [files] in files.look($0) })
    }

    @Test("It looks off the runtime's pool, and nobody who is cancelled waits for it")
    func cancelled() async {
        let vetting = Task { [vetter = vetter()] in await vetter.refusal() }
        for await _ in files.asked { break }
        #expect(!files.isOnPool)
        vetting.cancel()
        #expect(await vetting.value == "its files were not looked at in time")
        files.mend()
    }

    @Test("It waits for a file system that hangs as long as the limit, and starts no second look")
    func limited() async {
        let vetter = vetter()
        for round in 0..<3 {
            let vetting = Task { await vetter.refusal() }
            if round == 0 { for await _ in files.asked { break } }
            await clock.waitForSleepers(1)
            clock.advance(by: ModuleVetter.limit)
            #expect(await vetting.value == "its files were not looked at in time")
        }
        #expect(files.looks == 1)
        files.mend()
    }

    @Test("It looks anew each time once the file system answers")
    func mended() async {
        let vetter = vetter()
        for count in 1...2 {
            let vetting = Task { await vetter.refusal() }
            for await _ in files.asked { break }
            files.mend()
            #expect(
                await vetting.value
                    == "/ cannot be looked at: no such file, on the way to /modules/fake")
            #expect(files.looks == count)
        }
    }
}
