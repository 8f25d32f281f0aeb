import Dispatch
import LockerKit
import Locks
import SiteModel

/// Has one module vetted again and again, each time before it is started.
///
/// It happens on a thread of its own, because a file system that hangs must hold up no other link. There is never a second
/// look while the first one hangs: threads would pile up otherwise for as long as the file system is away.
final class ModuleVetter: Sendable {
    /// How long a file system may take.
    static let limit: Duration = .seconds(10)

    private let module: ModulePlan
    private let clock: any MonotonicClock
    private let look: ModuleVetting.Look
    private let pending = Mutex<OneShot<String?>?>(nil)

    /// Makes the vetter of one module. The clock is the real one unless a test brings another, for file systems keep to
    /// that one.
    init(
        _ module: ModulePlan, clock: any MonotonicClock = ContinuousClock(),
        look: @escaping ModuleVetting.Look = ModuleVetting.inspect
    ) {
        self.module = module
        self.clock = clock
        self.look = look
    }

    /// Nil when the module may run, otherwise why not. Returns within ``limit``, and at once where the task is cancelled.
    func refusal() async -> String? {
        let look = pending.withLock { pending in
            if let pending { return pending }
            let look = begin()
            pending = look
            return look
        }
        guard let verdict = await look.wait(for: Self.limit, clock: clock) else {
            return "its files were not looked at in time"
        }
        return verdict
    }

    private func begin() -> OneShot<String?> {
        let verdict = OneShot<String?>()
        // A serial queue of its own: the threads of the global ones may be those of the runtime's pool.
        DispatchQueue(label: "lockerd.vetting").async { [self] in
            let refusal = ModuleVetting.refusal(of: module, look: look)
            pending.withLock { $0 = nil }
            verdict.fulfil(refusal)
        }
        return verdict
    }
}
