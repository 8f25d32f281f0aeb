import Locks
import SimulatorDriver

/// The controller of the check that is running.
final class Made: Sendable {
    private let kept = Mutex<SimulatedController?>(nil)

    var controller: SimulatedController? {
        get { kept.withLock { $0 } }
        set { kept.withLock { $0 = newValue } }
    }
}
