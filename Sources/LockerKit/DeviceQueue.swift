import Dispatch

/// A thread of its own for calls that block: the executor of an actor that owns a device handle.
///
/// ```swift
/// actor Port {
///     private let queue = DeviceQueue(label: "yard")
///     nonisolated var unownedExecutor: UnownedSerialExecutor { queue.asUnownedSerialExecutor() }
/// }
/// ```
/// A blocking C call made by such an actor never holds a thread of the cooperative pool.
public final class DeviceQueue: SerialExecutor {
    private let queue: DispatchQueue

    /// Makes a queue; the label appears in thread listings.
    public init(label: String) {
        queue = DispatchQueue(label: "lockerd.device.\(label)")
    }

    /// Runs a job of the actor; called by the language runtime.
    public func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.async { job.runSynchronously(on: self.asUnownedSerialExecutor()) }
    }

    /// The reference an actor returns from `unownedExecutor`.
    public func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }
}
