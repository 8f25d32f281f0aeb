package import LockerCore
package import LockerKit

/// What a beat is made from: the core, or a stand-in for it in tests.
package protocol BeatSource: Sendable {
    /// The site's name.
    var name: String { get }
    /// Tells one run of the daemon from the next.
    var bootID: String { get }
    var snapshot: Snapshot { get }
    var events: EventLog { get }

    /// Returns once the core has really answered.
    func ping() async

    /// The operation with its results, which the event of an `open-all` does not carry.
    func operation(_ id: String) async throws(LockerError) -> OperationView
}

/// Who carries a beat to one upstream.
package protocol BeatSink: Sendable {
    /// The uplink's name in `status` and in logs.
    var name: String { get }

    /// Returns once the upstream has taken the beat, and throws where that is not certain. Ends early when cancelled.
    func deliver(_ beat: String) async throws(LockerError)
}
