public import Logging

/// The code that carries heartbeats to one upstream.
///
/// An uplink is built into a module (`UplinkMain.run(MyUplink.self)`) and runs as a process of its own, one for each
/// `[[uplink]]` table. What is lost and when to try again is the core's decision: an uplink delivers one beat or says
/// why it could not.
public protocol Uplink: Sendable {
    /// The module's name, as in its manifest: `http`.
    static var name: String { get }

    /// The module's version, for people: `0.1.0`.
    static var version: String { get }

    /// Makes the uplink. Opens no connection.
    ///
    /// Options were checked against the manifest's schema and its defaults filled in; what only the uplink can judge it
    /// refuses here with ``LockerError/Code/invalidRequest``, naming the option, what was wanted and what came.
    init(options: Options, site: String, context: UplinkContext) throws(LockerError)

    /// Carries one beat and returns once the upstream has taken it.
    ///
    /// `beat` is JSON text, one object on one line; it is passed on as it is. Beats come one at a time. A cancelled task
    /// gives up at once.
    func deliver(_ beat: String) async throws(LockerError)

    /// Closes connections; the process ends afterwards.
    func stop() async
}

/// What an uplink is given besides its options.
public struct UplinkContext: Sendable {
    /// The uplink's name in `lockerd.toml`, for messages.
    public let name: String
    /// Where all time comes from.
    public let clock: any MonotonicClock
    /// Where all log lines go; never a token or a password.
    public let logger: Logger

    /// Makes a context; `UplinkMain` does it in a module, a test does it by hand.
    public init(name: String, clock: any MonotonicClock = ContinuousClock(), logger: Logger) {
        self.name = name
        self.clock = clock
        self.logger = logger
    }
}
