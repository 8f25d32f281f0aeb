package import LockerCore
package import LockerKit

/// What the control server asks of the core.
package protocol ControlCore: Sendable {
    var snapshot: Snapshot { get }
    var events: EventLog { get }
    var bootID: String { get }
    var name: String { get }
    /// Where calls of the core run best; nil means the runtime's pool.
    var executor: (any TaskExecutor)? { get }

    func open(
        _ request: OpenRequest, wait: Duration?
    ) async throws(LockerError) -> OperationView
    func openAll(
        _ request: OpenAllRequest, wait: Duration?,
        progress: @escaping @Sendable (OpenAllProgress) -> Void
    ) async throws(LockerError) -> OperationView
    func operation(_ id: String) async throws(LockerError) -> OperationView
    func planOpenAll(_ request: OpenAllRequest) async throws(LockerError) -> OpenAllEstimate
    func cancel(_ id: String, peer: Peer?) async throws(LockerError) -> CancelView
    func setService(
        _ request: ServiceRequest
    ) async throws(LockerError) -> (locker: LockerView, isKept: Bool)
    func restart(controller id: String, peer: Peer) async throws(LockerError)
    func perform(
        _ action: DeviceAction, controller id: String, peer: Peer
    ) async throws(LockerError) -> DeviceAnswer
    func audit(_ query: AuditQuery) async throws(LockerError) -> AuditPage
    func noteReload(by peer: Peer?) async
    func noteRestart(uplink: String, by peer: Peer) async
    func noteDevice(_ id: String, state: String, peer: Peer) async throws(LockerError)
}

extension Site: ControlCore {}
