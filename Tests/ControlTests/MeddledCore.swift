import ControlServer
import LockerCore
import LockerKit
import SiteModel
import TestSupport

/// A real core to which something happens just before it is asked: after the server has checked the rights, that is.
struct MeddledCore: ControlCore {
    let site: Site
    let meddle: @Sendable (Site) async -> Void

    var snapshot: Snapshot { site.snapshot }
    var events: EventLog { site.events }
    var bootID: String { site.bootID }
    var name: String { site.name }
    var executor: (any TaskExecutor)? { site.executor }

    func open(
        _ request: OpenRequest, wait: Duration?
    ) async throws(LockerError) -> OperationView {
        await meddle(site)
        return try await site.open(request, wait: wait)
    }

    func openAll(
        _ request: OpenAllRequest, wait: Duration?,
        progress: @escaping @Sendable (OpenAllProgress) -> Void
    ) async throws(LockerError) -> OperationView {
        await meddle(site)
        return try await site.openAll(request, wait: wait, progress: progress)
    }

    func setService(
        _ request: ServiceRequest
    ) async throws(LockerError) -> (locker: LockerView, isKept: Bool) {
        await meddle(site)
        return try await site.setService(request)
    }

    func operation(_ id: String) async throws(LockerError) -> OperationView {
        try await site.operation(id)
    }

    func cancel(_ id: String, peer: Peer?) async throws(LockerError) -> CancelView {
        try await site.cancel(id, peer: peer)
    }

    func planOpenAll(_ request: OpenAllRequest) async throws(LockerError) -> OpenAllEstimate {
        try await site.planOpenAll(request)
    }

    func audit(_ query: AuditQuery) async throws(LockerError) -> AuditPage {
        try await site.audit(query)
    }

    func noteReload(by peer: Peer?) async { await site.noteReload(by: peer) }

    func noteRestart(uplink: String, by peer: Peer) async {
        await site.noteRestart(uplink: uplink, by: peer)
    }

    func restart(controller id: String, peer: Peer) async throws(LockerError) {
        try await site.restart(controller: id, peer: peer)
    }

    func perform(
        _ action: DeviceAction, controller id: String, peer: Peer
    ) async throws(LockerError) -> DeviceAnswer {
        try await site.perform(action, controller: id, peer: peer)
    }

    func noteDevice(_ id: String, state: String, peer: Peer) async throws(LockerError) {
        try await site.noteDevice(id, state: state, peer: peer)
    }
}

extension SitePlan {
    /// The same site with every controller's plan changed.
    func changing(_ change: (inout ControllerPlan) -> Void) -> SitePlan {
        var plan = self
        for link in plan.links.indices {
            for index in plan.links[link].controllers.indices {
                change(&plan.links[link].controllers[index])
            }
        }
        return plan
    }

    /// Controller `wall` gets the ids of `cellar` and the other way round.
    var renumbered: SitePlan {
        changing { controller in
            let shift = controller.id == "wall" ? 100 : -100
            for index in controller.lockers.indices { controller.lockers[index].id += shift }
        }
    }
}

extension Site {
    /// Reloads, and returns when every controller is back.
    nonisolated func reloadAndWait(_ plan: SitePlan) async {
        _ = await reload(plan)
        try? await eventually("every controller is ready again") {
            snapshot.read { $0.controllers.allSatisfy { $0.view.state == .ready } }
        }
    }
}
