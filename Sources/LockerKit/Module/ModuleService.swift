import JSONLines
import Logging
import ModuleWire

/// What one kind of module does with the calls that are its own; ``ModuleServer`` does the rest.
protocol ModuleService: Sendable {
    /// `driver` or `uplink`, as `hello` names it.
    var kind: String { get }
    var name: String { get }
    var version: String { get }
    /// The methods this kind of module has, beyond `hello`, `ping` and `cancel`.
    var methods: Set<ModuleMethod> { get }

    /// Carries out one call. `configure` comes first and once; the others come one at a time, `stop` at any time.
    ///
    /// `readAt` is when the call's line was read: what the core has limited counts from there.
    func call(
        _ method: ModuleMethod, _ params: JSON, readAt: ContinuousClock.Instant
    ) async throws(ErrorData) -> JSON

    /// Lets go of everything, outputs first; nothing is called afterwards.
    func stop() async
}

/// What a service may use of the process it runs in.
struct ModuleSurroundings: Sendable {
    let clock: any MonotonicClock
    let logger: Logger
    let output: ModuleOutput
}

extension ErrorData {
    /// Params that are not what the method takes: nothing was done.
    init(params error: WireError) {
        self.init(rpcCode: Self.invalidParams, message: error.description)
    }
}
